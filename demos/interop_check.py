"""Loads a recorded dataset with the libraries it is meant for, by the very code of docs/datasets.md.

    pip install minari==0.5.4 pyarrow pillow polars pandas duckdb
    python demos/interop_check.py DATASET
    python demos/interop_check.py DATASET target/debug/costate   # also renamed, appended and long datasets in Minari

Not part of the tests, because it needs Python packages. Exits with an error on any disagreement. Last passed with
Minari 0.5.4, pyarrow 26.0, pandas 3.1, polars 2.1 and DuckDB 2.0.
"""

import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import minari
import numpy as np

PAGE = Path(__file__).parent.parent / "docs/datasets.md"
TOOLS = ["pandas", "polars", "duckdb", "minari"]


def paragraphs():
    """The page's paragraph for each tool, which reads the dataset `swing` into `rows` or `dataset`."""
    text = PAGE.read_text()
    block = next(b for b in text.split("```python\n")[1:] if "read_parquet" in b).split("```")[0]
    return {tool: next(p for p in block.split("\n\n") if f"import {tool}" in p) for tool in TOOLS}


def by_page(tool, folder):
    names = {}
    exec(paragraphs()[tool].replace('"swing', f'"{folder}').replace("'swing", f"'{folder}"), names)
    return names.get("dataset", names.get("rows"))


def agrees(folder):
    meta = json.loads((folder / "meta.json").read_text())
    episodes = meta["episodes"]
    returns = [e["true_return"] for e in episodes]
    steps = [e["total_steps"] for e in episodes]
    dims = [len(meta["spec"][space]) for space in ("observation", "action")]

    dataset = by_page("minari", folder)
    assert dataset.total_episodes == len(episodes)
    assert dataset.total_steps == meta["total_steps"]
    assert [dataset.observation_space.shape[0], dataset.action_space.shape[0]] == dims
    for entry, episode in zip(episodes, dataset.iterate_episodes(), strict=True):
        assert episode.observations.shape == (entry["total_steps"] + 1, dims[0])
        assert episode.actions.shape == (entry["total_steps"], dims[1])
        assert episode.observations.dtype == episode.actions.dtype == np.float32
        assert np.isclose(episode.rewards.sum(), entry["true_return"])
        assert episode.terminations[-1] + episode.truncations[-1] == 1

    for tool in TOOLS[:3]:
        rows = by_page(tool, folder)
        column = lambda name: np.asarray(rows[name].to_numpy())
        episode, rewards = column("episode"), column("rewards")
        assert len(episode) == meta["total_steps"] + len(episodes), tool
        # In numerical, not lexical order: 2 before 10.
        assert (episode == np.repeat(np.arange(len(steps)), np.add(steps, 1))).all(), tool
        assert (column("step") == np.concatenate([np.arange(n + 1) for n in steps])).all(), tool
        assert np.allclose([rewards[episode == e].sum() for e in range(len(steps))], returns), tool
        assert len(rows["observations"][0]) == dims[0], tool


def listed(root):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        return set(minari.list_local_datasets()), [str(w.message) for w in said]


def scenes(costate):
    """Appended, renamed and long datasets, with the real Minari."""
    run = lambda *args: subprocess.run([costate, "--quiet", *map(str, args)], check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "datasets"
        root.mkdir()
        os.environ["MINARI_DATASETS_PATH"] = str(root)
        first = root / "swing-v0"
        run("record", "pendulum", "-n", 3, "-o", first)
        run("record", "--append", "-n", 9, "-o", first)
        agrees(first)
        assert minari.load_dataset("swing-v0").total_episodes == 12

        renamed = root / "lab" / "arms" / "mine-v2"
        renamed.parent.mkdir(parents=True)
        first.rename(renamed)
        ids, said = listed(root)
        assert not ids and "Misconfigured" in said[0], (ids, said)
        run("demos", "check", "--fix", renamed)
        assert listed(root) == ({"lab/arms/mine-v2"}, [])
        assert minari.load_dataset("lab/arms/mine-v2").total_episodes == 12
        agrees(renamed)

        for steps in (131_071, 131_072):
            long = Path(temporary) / f"long-{steps}-v0"
            run("record", "lq", "-n", 2, "--set", f"env.horizon={steps}", "-o", long)
            if steps == 131_071:
                agrees(long)
                continue
            # Minari would read each as two episodes; without its metadata it refuses instead.
            assert not (long / "data/metadata.json").exists()
            try:
                minari.MinariDataset(long / "data")
            except Exception:
                continue
            raise AssertionError("Minari opens episodes that it splits in two")


folder = Path(sys.argv[1])
agrees(folder)
print(f"{folder}: Minari {minari.__version__}, pandas, Polars and DuckDB agree, by the code of {PAGE.name}")
if len(sys.argv) > 2:
    scenes(str(Path(sys.argv[2]).absolute()))
    print("Minari: appended, renamed and long datasets are as they should be")
