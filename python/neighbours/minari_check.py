"""Minari reads Costate's datasets as they are: through `Dataset.to_minari`, and in place after a crash and a repair.

    cargo build --release && pip install -r python/neighbours/minari.txt && pip install ./python
    COSTATE_BIN=target/release/costate python python/neighbours/minari_check.py

Not a part of CI. Exits 1 if something is not as expected.
"""

import os
import subprocess
import tempfile
from pathlib import Path

import costate
import minari
import numpy as np

DATA = Path(__file__).parent.parent.parent / "demos/data"
PROGRAM = os.environ.get("COSTATE_BIN", "costate")
# Operations on files after which a recording of six episodes is killed: within episodes and between them.
PLACES = [30, 36, 50, 57, 76, 90]


def same(ours, theirs):
    assert theirs.total_episodes == len(ours) and theirs.total_steps == ours.meta["total_steps"]
    for episode, read in zip(ours, theirs.iterate_episodes(), strict=True):
        assert np.array_equal(read.observations, episode.observations)
        assert np.array_equal(read.actions, episode.actions)
        assert np.array_equal(read.rewards, episode.rewards)
        assert (read.terminations[-1], read.truncations[-1]) == (episode.terminated, episode.truncated)


for name in costate.names():
    ours = costate.Dataset.open(DATA / name)
    same(ours, ours.to_minari())
print(f"minari {minari.__version__}: {len(costate.names())} datasets equal, entry for entry")

for place in PLACES:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "cut"
        killed = subprocess.run(
            [PROGRAM, "-q", "record", "pendulum", "-n", "6", "-o", folder],
            env=os.environ | {"COSTATE_FAULT": f"kill@{place}"},
            capture_output=True,
        )
        assert killed.returncode != 0, "the recording was to be killed"
        subprocess.run([PROGRAM, "-q", "demos", "repair", folder], check=True, capture_output=True)
        ours = costate.Dataset.open(folder)
        assert 0 < len(ours) <= 6
        same(ours, minari.MinariDataset(folder / "data"))
        print(f"killed at operation {place}, repaired: {len(ours)} of 6 episodes, equal")
