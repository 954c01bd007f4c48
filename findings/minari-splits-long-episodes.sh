#!/usr/bin/env bash
# Minari 0.5.4 (with PyArrow 26.0.1): an episode of 131,072 or more rows in its Arrow/Parquet form comes back as two
# episodes. Nothing is raised; every later episode slides by one and the last one is never read.
# Why: the reader takes one record batch for one episode, and PyArrow's dataset scanner cuts a row group into batches of
# at most 131,072 rows. What Costate does about it: one row group an episode, and no Minari metadata beside episodes that long.
# Exits 0 while this is so, 1 once it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q install minari==0.5.4 pillow==12.0.0 pyarrow==26.0.1 gymnasium==1.4.0 numpy==2.4.3
cd "$work"
export MINARI_DATASETS_PATH="$work/datasets"
cat >check.py <<'P'
import json, os, sys
import minari, numpy as np, pyarrow as pa, pyarrow.parquet as pq

LENGTHS = [140_000, 5]
root = os.environ["MINARI_DATASETS_PATH"] + "/long-v0/data"
box = lambda: json.dumps({"type": "Box", "dtype": "float32", "shape": [1], "low": [-1.0], "high": [1.0]})
for i, length in enumerate(LENGTHS):
    rows = length + 1
    os.makedirs(f"{root}/{i}")
    column = lambda n: pa.FixedSizeListArray.from_arrays(pa.array(np.full(rows * n, 0.1 * i, np.float32)), n)
    flags = pa.array([t == length - 1 for t in range(rows)])
    table = pa.table({
        "observations": column(1), "actions": column(1), "rewards": pa.array(np.zeros(rows)),
        "terminations": pa.array([False] * rows), "truncations": flags,
    })
    # One row group an episode.
    pq.write_table(table, f"{root}/{i}/part-0.parquet", row_group_size=rows)
    json.dump({"id": i, "total_steps": length, "seed": i}, open(f"{root}/{i}/metadata.json", "w"))
json.dump({
    "total_episodes": 2, "total_steps": sum(LENGTHS), "data_format": "parquet", "jpeg_encoding": False,
    "dataset_id": "long-v0", "author": [], "author_email": [], "algorithm_name": "", "description": "",
    "code_permalink": "", "minari_version": "0.5.3", "dataset_size": 1.0,
    "observation_space": box(), "action_space": box(),
}, open(f"{root}/metadata.json", "w"))
try:
    read = [len(e.rewards) for e in minari.load_dataset("long-v0").iterate_episodes()]
except Exception as e:
    read = repr(e)
print(f"minari {minari.__version__}, pyarrow {pa.__version__}: written {LENGTHS}, read {read}")
sys.exit(0 if read == [131_071, 8_928] else 1)
P
"$work/venv/bin/python" check.py
