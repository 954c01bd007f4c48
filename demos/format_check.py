"""Holds exported datasets against the tools that own the formats, and imports what those tools write.

    pip install numpy==2.4.6 pandas==3.1.1 pyarrow==26.0.1 h5py==3.16.0 minari==0.5.4 datasets==5.2.0
    pip install imitation==1.0.1                                  # or left out, which skips its own loader and BC
    python demos/format_check.py target/debug/costate             # all but LeRobot
    pip install --no-deps lerobot==0.6.1                          # Python 3.12, with what its datasets import
    python demos/format_check.py target/debug/costate lerobot     # LeRobot alone
    pip install 'lerobot[training]==0.6.1' torch==2.11.0 torchvision==0.26.0
    python demos/format_check.py target/debug/costate training    # lerobot-train, one step on `push_t`

Not part of the tests, because it needs Python packages; demos/tests/export.rs and arrays.rs check the same in Rust.
LeRobot's dataset classes are run without PyTorch, of which only conversions to tensors are needed, where it is not
installed. Exits with an error on any disagreement; prints a table of what was compared.
"""

import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pandas as pd

ROOT = Path(__file__).parent.parent
COSTATE = Path(sys.argv[1]).resolve()
WORLDS = ["pendulum", "point_mass"]


def costate(*args):
    done = subprocess.run([COSTATE, *map(str, args)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"costate {' '.join(map(str, args))}: {done.stderr}")
    return done.stdout


def ours(folder):
    """Episodes as dictionaries of arrays: T + 1 observations, T of the rest."""
    meta = json.loads((folder / "meta.json").read_text())
    episodes = []
    for entry in meta["episodes"]:
        rows = pd.read_parquet(folder / entry["file"])
        episodes.append({
            "observations": np.stack(rows["observations"]),
            "actions": np.stack(rows["actions"])[:-1],
            "rewards": rows["rewards"].to_numpy()[:-1],
            "terminated": bool(rows["terminations"].any()),
        })
    return meta, episodes


def same(what, found, expected, exact=True):
    found, expected = np.asarray(found), np.asarray(expected)
    if found.shape != expected.shape:
        sys.exit(f"{what}: shape {found.shape}, expected {expected.shape}")
    if not (np.array_equal(found, expected) if exact else np.allclose(found, expected, rtol=1e-6, atol=1e-6)):
        sys.exit(f"{what}: values differ by up to {np.abs(found - expected).max()}")


def export(dataset, form, to):
    """Exports, and imports what was exported with the mapping that the export names."""
    said = json.loads(costate("demos", "export", dataset, "--to", form, "-o", to, "--json", "-q"))
    mapping = to.parent / f"{form}-mapping.json"
    mapping.write_text(json.dumps(said["mapping"]))
    back = to.parent / f"{form}-back"
    costate("demos", "import", to, "--mapping", mapping, "-o", back, "-q")
    costate("demos", "check", back)
    return back


def round_trip(dataset, back, exact_rewards):
    (_, was), (_, now) = ours(dataset), ours(back)
    assert len(was) == len(now)
    for a, b in zip(was, now):
        for key in ("observations", "actions"):
            same(f"{back.name} {key}", b[key], a[key])
        rewards = a["rewards"] if exact_rewards else a["rewards"].astype("f4").astype("f8")
        same(f"{back.name} rewards", b["rewards"], rewards)
        assert a["terminated"] == b["terminated"]


def tables(dataset, folder):
    meta, episodes = ours(dataset)
    names = [[c["name"] for c in meta["spec"][space]] for space in ("observation", "action")]
    for form, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        file = folder / f"d.{form}"
        back = export(dataset, form, file)
        frame = read(file)
        for i, own in enumerate(episodes):
            rows = frame[frame["episode"] == i]
            same(f"{form} observations", rows[names[0]].to_numpy("f4"), own["observations"])
            same(f"{form} actions", rows[names[1]].to_numpy("f4")[:-1], own["actions"])
            same(f"{form} rewards", rows["reward"].to_numpy()[:-1], own["rewards"])
            assert bool(rows["terminated"].any()) == own["terminated"]
        round_trip(dataset, back, True)
        yield form, f"pandas {pd.__version__}"


def npz(dataset, folder):
    _, episodes = ours(dataset)
    file = folder / "d.npz"
    back = export(dataset, "npz", file)
    with np.load(file) as found:
        kinds = {name: found[name].dtype.str for name in found.files}
        assert kinds["observations"] == kinds["actions"] == "<f4" and kinds["terminals"] == "|b1", kinds
        same("npz observations", found["observations"], np.concatenate([e["observations"][:-1] for e in episodes]))
        same("npz next", found["next_observations"], np.concatenate([e["observations"][1:] for e in episodes]))
        same("npz actions", found["actions"], np.concatenate([e["actions"] for e in episodes]))
        same("npz rewards", found["rewards"], np.concatenate([e["rewards"] for e in episodes]))
        ends = found["terminals"] | found["timeouts"]
        same("npz ends", np.flatnonzero(ends) + 1, np.cumsum([len(e["actions"]) for e in episodes]))
        # What numpy compresses is read as well.
        again = folder / "compressed.npz"
        np.savez_compressed(again, **{name: np.asfortranarray(found[name]) for name in found.files})
    mapping = folder / "npz-mapping.json"
    costate("demos", "import", again, "--mapping", mapping, "-o", folder / "compressed", "-q")
    round_trip(dataset, back, True)
    round_trip(dataset, folder / "compressed", True)
    yield "npz", f"numpy {np.__version__}"


def hdf5(dataset, folder):
    """D4RL's and robomimic's layouts, written by h5py of our numbers."""
    import h5py

    meta, episodes = ours(dataset)
    joined = {key: np.concatenate([e[key] for e in episodes]) for key in ("actions", "rewards")}
    joined["observations"] = np.concatenate([e["observations"][:-1] for e in episodes])
    joined["next_observations"] = np.concatenate([e["observations"][1:] for e in episodes])
    last = np.cumsum([len(e["actions"]) for e in episodes]) - 1
    for name, ended in (("terminals", True), ("timeouts", False)):
        joined[name] = np.zeros(len(joined["actions"]), bool)
        joined[name][[i for i, e in zip(last, episodes) if e["terminated"] == ended]] = True
    for libver in ("earliest", "latest"):
        file = folder / f"d4rl-{libver}.hdf5"
        with h5py.File(file, "w", libver=libver) as f:
            for name, values in joined.items():
                f.create_dataset(name, data=values, compression="gzip", chunks=True)
        back = folder / f"d4rl-{libver}"
        costate("demos", "import", file, "--dt", meta["spec"]["control_period_s"], "-o", back, "-q")
        round_trip(dataset, back, True)
        file = folder / f"robomimic-{libver}.hdf5"
        with h5py.File(file, "w", libver=libver) as f:
            data = f.create_group("data")
            rate = 1 / meta["spec"]["control_period_s"]
            data.attrs["env_args"] = json.dumps({"env_name": "x", "env_kwargs": {"control_freq": rate}})
            for i, e in enumerate(episodes):
                demo = data.create_group(f"demo_{i}")
                demo.attrs["num_samples"] = len(e["actions"])
                demo["obs/state"], demo["next_obs/state"] = e["observations"][:-1], e["observations"][1:]
                demo["actions"], demo["rewards"] = e["actions"], e["rewards"]
                demo["dones"] = np.arange(len(e["actions"])) == len(e["actions"]) - 1 if e["terminated"] else \
                    np.zeros(len(e["actions"]), bool)
            f["mask/train"] = np.array([f"demo_{i}".encode() for i in range(len(episodes))])
        back = folder / f"robomimic-{libver}"
        costate("demos", "import", file, "--split", "train", "--terminated", "dones", "-o", back, "-q")
        round_trip(dataset, back, True)
    yield "D4RL, robomimic layouts (import)", f"h5py {h5py.__version__}"


def minari(dataset, folder):
    import minari

    meta, episodes = ours(dataset)
    to = folder / "mine-v0"
    back = export(dataset, "minari", to)
    found = minari.MinariDataset(to / "data")
    assert found.total_episodes == len(episodes)
    seen = list(found.iterate_episodes())
    for own, e in zip(episodes, seen):
        same("minari observations", e.observations, own["observations"])
        same("minari actions", e.actions, own["actions"])
        same("minari rewards", e.rewards, own["rewards"])
        assert bool(e.terminations[-1]) == own["terminated"] and bool(e.truncations[-1]) != own["terminated"]
    # The environment is that of the Python package `costate`, where it is installed.
    spec = found.spec.env_spec
    assert spec.id == f"costate/{meta['env']['name']}-v0" and spec.kwargs == {"env": meta["env"]["name"]}
    try:
        env = found.recover_environment()
        recovered = "environment recovered"
        env.reset(seed=meta["episodes"][0]["seed"])
    except ModuleNotFoundError as e:
        assert e.name == "costate", e
        recovered = "environment named, package `costate` not installed"
    round_trip(dataset, back, True)
    yield "minari", f"minari {minari.__version__} ({recovered})"


def imitation(dataset, folder):
    import datasets

    _, episodes = ours(dataset)
    to = folder / "imitation"
    back = export(dataset, "imitation", to)
    found = datasets.load_from_disk(str(to))
    assert len(found) == len(episodes)
    for own, row in zip(episodes, found):
        same("imitation obs", np.array(row["obs"], "f4"), own["observations"])
        same("imitation acts", np.array(row["acts"], "f4"), own["actions"])
        same("imitation rews", np.array(row["rews"], "f4"), own["rewards"].astype("f4"))
        assert row["terminal"] == own["terminated"] and len(row["infos"]) == len(row["acts"])
        assert all(json.loads(info) == {} for info in row["infos"])
    round_trip(dataset, back, False)
    yield "imitation", f"datasets {datasets.__version__}"
    try:
        from imitation.algorithms import bc
        from imitation.data import rollout, serialize
    except ModuleNotFoundError:
        return
    import gymnasium as gym

    loaded = serialize.load(str(to))
    for own, t in zip(episodes, loaded):
        same("imitation obs", np.asarray(t.obs, "f4"), own["observations"])
        same("imitation acts", np.asarray(t.acts, "f4"), own["actions"])
        assert t.terminal == own["terminated"] and len(t) == len(own["actions"])
    box = [gym.spaces.Box(-np.inf, np.inf, (episodes[0][key].shape[1],)) for key in ("observations", "actions")]
    steps = rollout.flatten_trajectories(list(loaded))
    bc.BC(observation_space=box[0], action_space=box[1], demonstrations=steps, rng=np.random.default_rng(0),
          device="cpu").train(n_epochs=1, progress_bar=False, log_interval=10**9)
    serialize.save(folder / "saved", list(loaded))
    rate = ours(dataset)[0]["spec"]["control_period_s"]
    costate("demos", "import", folder / "saved", "--dt", rate, "-o", folder / "saved-back", "-q")
    round_trip(dataset, folder / "saved-back", False)
    yield "imitation", f"imitation {version('imitation')}, whose BC trained on it for an epoch"


class WithoutTorch:
    """Stands in for PyTorch, of which LeRobot's dataset classes need the names alone to read and write columns."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision"):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__, module.__name__ = [], spec, spec.name
        module.__version__ = "2.11.0"
        for name in ("Tensor", "Dataset", "IterableDataset", "Sampler", "Module", "VideoReader"):
            setattr(module, name, type(name, (), {}))
        return module

    def exec_module(self, module):
        pass


def lerobot(dataset, folder):
    how = "without PyTorch"
    if importlib.util.find_spec("torch") is None:
        sys.meta_path.insert(0, WithoutTorch())
    elif not any(isinstance(finder, WithoutTorch) for finder in sys.meta_path):
        how = f"PyTorch {version('torch')}"
    import torch.nn
    import torch.utils.data  # noqa: F401
    import lerobot
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
    from lerobot.datasets.feature_utils import get_hf_features_from_features
    from lerobot.datasets.io_utils import load_nested_dataset
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    meta, episodes = ours(dataset)
    to = folder / "lerobot"
    back = export(dataset, "lerobot", to)
    about = LeRobotDatasetMetadata("local/d", root=to)
    assert about.total_episodes == len(episodes)
    assert about.total_frames == sum(len(e["actions"]) for e in episodes)
    assert abs(about.fps * meta["spec"]["control_period_s"] - 1) < 1e-9
    assert about.tasks.index.name == "task" and list(about.tasks.index) == [meta["spec"]["summary"]]
    frames = load_nested_dataset(to / "data", features=get_hf_features_from_features(about.features))
    frames = frames.with_format("numpy")
    width = episodes[0]["actions"].shape[1]
    for i, own in enumerate(episodes):
        row = about.episodes[i]
        part = frames[row["dataset_from_index"]:row["dataset_to_index"]]
        same("lerobot state", part["observation.state"][:, :own["observations"].shape[1]], own["observations"][:-1])
        same("lerobot action", part["action"][:, :width], own["actions"])
        assert part["action"].shape[1] == max(width, 2)
        same("lerobot reward", part["next.reward"], own["rewards"].astype("f4"))
        same("lerobot done", np.flatnonzero(part["next.done"]), [len(own["actions"]) - 1])
        same("lerobot time", part["timestamp"], np.arange(len(own["actions"])) / about.fps, exact=False)
        assert row["length"] == len(own["actions"]) and row["tasks"] == [meta["spec"]["summary"]]
    for name, values in about.stats.items():
        assert set(values) == {"min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99"}, name
    all_actions = np.concatenate([e["actions"] for e in episodes]).astype("f8")
    for key, of in (("mean", np.mean), ("std", np.std), ("min", np.min), ("max", np.max)):
        same(f"lerobot {key}", about.stats["action"][key][:width], of(all_actions, axis=0), exact=False)
    for key, q in (("q01", .01), ("q50", .5), ("q99", .99)):
        same(f"lerobot {key}", about.stats["action"][key][:width], np.quantile(all_actions, q, axis=0), exact=False)
    round_trip(dataset, back, False)

    # What LeRobot itself writes of the same frames has the same columns, and is imported.
    features = {
        name: {**about.features[name], "shape": tuple(about.features[name]["shape"])}
        for name in about.features
        if name not in ("timestamp", "frame_index", "episode_index", "index", "task_index")
    }
    theirs = folder / "theirs"
    written = LeRobotDataset.create("local/t", fps=about.fps, features=features, root=theirs, use_videos=False,
                                    robot_type=about.robot_type)
    for i, own in enumerate(episodes):
        row = about.episodes[i]
        part = frames[row["dataset_from_index"]:row["dataset_to_index"]]
        for t in range(len(own["actions"])):
            frame = {name: np.atleast_1d(part[name][t]) for name in features}
            written.add_frame({**frame, "task": meta["spec"]["summary"]})
        written.save_episode()
    written.finalize()
    import pyarrow.parquet as pq

    def schema(root, name):
        return [(f.name, str(f.type)) for f in pq.read_schema(root / name)]

    for name in ("data/chunk-000/file-000.parquet", "meta/tasks.parquet", "meta/episodes/chunk-000/file-000.parquet"):
        a, b = schema(to, name), schema(theirs, name)
        assert sorted(f[0] for f in a) == sorted(f[0] for f in b), (name, a, b)
        kinds = {f[0]: f[1].replace("item", "element") for f in b}
        other = [(f, kinds[f[0]]) for f in a if kinds[f[0]] != f[1].replace("item", "element")]
        assert not other, (name, other)
    mine, other = (json.loads((root / "meta/info.json").read_text()) for root in (to, theirs))
    assert mine == other, [(k, mine.get(k), other.get(k)) for k in {*mine, *other} if mine.get(k) != other.get(k)]
    costate("demos", "import", theirs, "-o", folder / "theirs-back", "-q")
    round_trip(dataset, folder / "theirs-back", False)
    yield "lerobot", f"lerobot {lerobot.__version__}, {how}"


def training():
    """LeRobot's own training command takes a step of ACT on an export of `push_t`."""
    command = Path(sys.executable).parent / "lerobot-train"
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        costate("record", "push_t", "-n", "3", "-o", folder / "ours", "-q")
        meta, episodes = ours(folder / "ours")
        costate("demos", "export", folder / "ours", "--to", "lerobot", "-o", folder / "lerobot", "-q")
        flags = {
            "dataset.repo_id": "local/push_t", "dataset.root": folder / "lerobot", "output_dir": folder / "run",
            "policy.type": "act", "policy.device": "cpu", "policy.push_to_hub": "false", "wandb.enable": "false",
            "steps": 1, "batch_size": 2, "num_workers": 0,
        }
        done = subprocess.run([command, *(f"--{name}={value}" for name, value in flags.items())],
                              env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True)
        said = done.stdout + done.stderr
        steps = sum(len(e["actions"]) for e in episodes)
        if done.returncode or f"num_frames={steps} " not in said or "num_episodes=3" not in said:
            sys.exit(f"lerobot-train: {said}")
        policy = folder / "run/checkpoints/last/pretrained_model"
        inputs = json.loads((policy / "config.json").read_text())["input_features"]
        sizes = {name: feature["shape"] for name, feature in inputs.items()}
        width = len(meta["spec"]["observation"])
        assert sizes["observation.state"] == sizes["observation.environment_state"] == [width], sizes
        assert (policy / "model.safetensors").stat().st_size > 0
    print(f"push_t: lerobot {version('lerobot')}, PyTorch {version('torch')}, accelerate {version('accelerate')}: "
          f"lerobot-train took a step of ACT on {steps} frames and saved its policy; inputs {sizes}")


def main():
    if sys.argv[2:] == ["training"]:
        return training()
    checks = [lerobot] if sys.argv[2:] == ["lerobot"] else [tables, npz, hdf5, minari, imitation]
    with tempfile.TemporaryDirectory() as folder:
        for world in WORLDS:
            dataset = Path(folder) / world / "ours"
            dataset.parent.mkdir()
            costate("record", world, "-n", "3", "-o", dataset, "-q")
            for check in checks:
                for form, tool in check(dataset, dataset.parent):
                    print(f"{world}: {form}: read by {tool}; counts, shapes and values equal; round trip equal")


if __name__ == "__main__":
    main()
