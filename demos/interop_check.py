"""Loads a recorded dataset with the libraries it is meant for.

    pip install minari==0.5.4 pyarrow pillow polars pandas duckdb
    python demos/interop_check.py DATASET

Not part of the tests: it needs Python packages. Exits with an error where anything disagrees.
"""

import json
import sys
from pathlib import Path

import duckdb
import minari
import numpy as np
import pandas as pd
import polars as pl

folder = Path(sys.argv[1])
meta = json.loads((folder / "meta.json").read_text())
episodes = meta["episodes"]

dataset = minari.MinariDataset(folder / "data")
assert dataset.total_episodes == len(episodes)
assert dataset.total_steps == meta["total_steps"]
dims = [len(meta["spec"][space]) for space in ("observation", "action")]
assert [dataset.observation_space.shape[0], dataset.action_space.shape[0]] == dims
for entry, episode in zip(episodes, dataset.iterate_episodes()):
    steps = entry["total_steps"]
    assert episode.observations.shape == (steps + 1, dims[0])
    assert episode.actions.shape == (steps, dims[1])
    assert episode.observations.dtype == episode.actions.dtype == np.float32
    assert np.isclose(episode.rewards.sum(), entry["true_return"])
    assert episode.terminations[-1] + episode.truncations[-1] == 1

files = str(folder / "data/*/*.parquet")
table = pl.read_parquet(files)
assert len(table) == meta["total_steps"] + len(episodes)
returns = table.group_by("episode").agg(pl.col("rewards").sum()).sort("episode")["rewards"]
assert np.allclose(returns, [e["true_return"] for e in episodes])
frame = pd.read_parquet(folder / episodes[0]["file"])
assert len(frame) == episodes[0]["total_steps"] + 1
assert len(frame["observations"][0]) == dims[0]
query = f"select count(*), -sum(rewards) from '{files}' where true_cost is not null"
[(rows, cost)] = duckdb.sql(query).fetchall()
assert rows == meta["total_steps"]
assert np.isclose(cost, -sum(e["true_return"] for e in episodes))
print(f"{folder}: Minari {minari.__version__}, polars, pandas and DuckDB agree on {len(episodes)} episodes")
