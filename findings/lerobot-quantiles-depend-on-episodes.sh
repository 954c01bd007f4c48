#!/usr/bin/env bash
# LeRobot 0.6.1: the quantiles in a dataset's statistics (meta/stats.json) are no quantiles of its numbers. Over episodes they
# are averaged by length, and within one they are read off a histogram that begins below the data.
#   [0 × 9, 10] and [10 × 3], two episodes → 2.31 for 1 %, 10 %, 50 % and 90 %; numpy says 0, 0, 0 and 10 of the 13 numbers
#   [0, 1, 2, 3, 4], one episode           → −1e-10 for 1 %, below the minimum
# Normalisation by quantiles, which several of LeRobot's policies use, so depends on where episodes were cut.
# What Costate does about it: its exports hold the quantiles of all frames together, interpolated as numpy does.
# Needs Python 3.12. PyTorch, of which these functions use nothing, is stood in for by an empty module.
# Exits 0 while this is so, 1 once it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.12}" -m venv "$work/venv"
"$work/venv/bin/pip" -q install --no-cache-dir --no-deps lerobot==0.6.1
"$work/venv/bin/pip" -q install --no-cache-dir numpy==2.2.6 pandas==2.3.3 pyarrow==26.0.1 datasets==4.8.5 \
    "huggingface-hub<2" "pillow<13" "packaging<26" "draccus<0.12" "av<16" safetensors==0.8.0 gymnasium==1.4.0 einops jsonlines termcolor \
    "opencv-python-headless<4.14"
cat >"$work/check.py" <<'P'
import importlib.machinery
import sys
from unittest.mock import MagicMock

import numpy as np


class Empty:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision"):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__, module.__name__, module.__version__ = [], spec, spec.name, "2.11.0"
        for name in ("Tensor", "Dataset", "IterableDataset", "Sampler", "Module", "VideoReader"):
            setattr(module, name, type(name, (), {}))
        return module

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, Empty())
import torch.nn
import torch.utils.data
from lerobot.datasets.compute_stats import aggregate_stats, get_feature_stats

NAMES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9}


def of(values):
    return {"x": get_feature_stats(np.array(values, np.float32)[:, None], axis=0, keepdims=False)}


episodes = [[0.0] * 9 + [10.0], [10.0] * 3]
found = aggregate_stats([of(e) for e in episodes])["x"]
alone = of([0.0, 1.0, 2.0, 3.0, 4.0])["x"]
numbers = np.concatenate(episodes)
for name, q in NAMES.items():
    print(f"two episodes, {name}: {found[name].item():.4f}, numpy {np.quantile(numbers, q):.4f}")
print(f"one episode, q01: {alone['q01'].item():.3g}, minimum {alone['min'].item():.3g}")
averaged = all(abs(found[name].item() - 30 / 13) < 1e-3 for name in NAMES)
sys.exit(0 if averaged and alone["q01"].item() < alone["min"].item() else 1)
P
"$work/venv/bin/python" "$work/check.py"
