"""Minari reads Costate's datasets as they are, through `Dataset.to_minari`.

    pip install -r python/neighbours/minari.txt && pip install ./python && python python/neighbours/minari_check.py

Not a part of CI. Exits 1 if something is not as expected.
"""

from pathlib import Path

import costate
import minari
import numpy as np

DATA = Path(__file__).parent.parent.parent / "demos/data"

for name in costate.names():
    ours = costate.Dataset.open(DATA / name)
    theirs = ours.to_minari()
    assert theirs.total_episodes == len(ours) and theirs.total_steps == ours.meta["total_steps"]
    for episode, read in zip(ours, theirs.iterate_episodes(), strict=True):
        assert np.array_equal(read.observations, episode.observations)
        assert np.array_equal(read.actions, episode.actions)
        assert np.array_equal(read.rewards, episode.rewards)
        assert (read.terminations[-1], read.truncations[-1]) == (episode.terminated, episode.truncated)
print(f"minari {minari.__version__}: {len(costate.names())} datasets equal, entry for entry")
