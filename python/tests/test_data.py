"""Datasets and recordings."""

import json
import shutil

import costate
import numpy as np
import pytest


@pytest.mark.parametrize("name", costate.names())
def test_shipped_demonstrations(demonstrations, name):
    dataset = costate.Dataset.open(demonstrations / name)
    assert len(dataset) == len(dataset.episodes) == 25 and dataset.env == name
    dims = len(dataset.world.observation), len(dataset.world.action)
    for entry, episode in zip(dataset.meta["episodes"], dataset, strict=True):
        assert episode.observations.shape == (len(episode) + 1, dims[0]) and len(episode) == entry["total_steps"]
        assert episode.actions.shape == (len(episode), dims[1]) and episode.seed == entry["seed"]
        assert episode.total_reward == pytest.approx(entry["true_return"])
        assert episode.terminated != episode.truncated


def test_recordings_are_the_command_lines(demonstrations, tmp_path):
    shipped = costate.Dataset.open(demonstrations / "cart_pole")
    recorded = costate.record("cart_pole", tmp_path / "new", 2, seed=shipped.meta["seed"], workers=2)
    assert len(recorded) == 2 and "2 episodes of cart_pole" in repr(recorded)
    for a, b in zip(recorded, shipped, strict=False):
        np.testing.assert_array_equal(a.observations, b.observations)
        np.testing.assert_array_equal(a.log_densities, b.log_densities)
    with pytest.raises(RuntimeError, match="exists and is not empty"):
        costate.record("cart_pole", tmp_path / "new", 2)
    with pytest.raises(ValueError, match="nobody"):
        costate.record("cart_pole", tmp_path / "other", 2, expert="nobody")


def test_what_is_no_dataset(demonstrations, tmp_path):
    with pytest.raises(ValueError, match="no dataset at"):
        costate.Dataset.open(tmp_path / "nothing")
    with pytest.raises(ValueError, match="empty folder"):
        costate.Dataset.open(tmp_path)
    recorded = costate.record("pendulum", tmp_path / "new", 1)
    file = tmp_path / "new" / recorded.meta["episodes"][0]["file"]
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(RuntimeError, match=file.name):
        costate.Dataset.open(tmp_path / "new").episodes  # noqa: B018
    meta = json.loads((tmp_path / "new/meta.json").read_text())
    meta["format_version"] = 99
    (tmp_path / "new/meta.json").write_text(json.dumps(meta))
    with pytest.raises(ValueError, match="newer Costate"):
        costate.Dataset.open(tmp_path / "new")


def test_actions_that_nobody_recorded(demonstrations, tmp_path):
    dataset = tmp_path / "seen"
    shutil.copytree(demonstrations / "pendulum", dataset)
    meta = json.loads((dataset / "meta.json").read_text())
    blind = {"format": "csv", "sources": [], "mapping": {}, "rewards": True, "observations_only": True}
    (dataset / "meta.json").write_text(json.dumps(meta | {"import": blind, "format_version": 6}))
    seen, shipped = costate.Dataset.open(dataset), costate.Dataset.open(demonstrations / "pendulum")
    assert shipped.actions_known and not seen.actions_known
    assert seen[0].actions.shape == shipped[0].actions.shape and np.isnan(seen[0].actions).all()
    np.testing.assert_array_equal(seen[0].observations, shipped[0].observations)
    for other in (seen.to_minari, seen.to_imitation):
        with pytest.raises(ValueError, match="no actions were recorded"):
            other()
