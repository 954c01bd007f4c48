"""Ray on Costate: rollouts by two actors of which one is killed, a Tune sweep of 8 runs, a dataset read by Ray Data.

    pip install -r python/neighbours/ray.txt && pip install ./python
    COSTATE_BIN=target/release/costate python python/neighbours/ray_check.py

Not a part of CI. Linux only, as it looks for an actor among the processes. Exits 1 if something is not as expected.
"""

import hashlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import costate
import numpy as np
import pandas
import ray
from costate.ray import sweep

DATA = Path(__file__).parent.parent.parent / "demos/data"
SMALL = {"validation.policies": 0, "base_steps": 50, "trajectories": 64, "cost_steps": 5, "ppo.epochs": 2}
ITERATIONS = 12


def digest(run):
    return hashlib.sha256((run / "policy.safetensors").read_bytes()).hexdigest()[:16]


def processes():
    """Parent and title of every process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
            found[int(folder.name)] = (
                int(stat.rpartition(")")[2].split()[1]),
                (folder / "cmdline").read_bytes().decode(),
            )
        except (OSError, UnicodeDecodeError):
            pass
    return found


def below(root, known):
    """Whether a process descends from another one."""

    def check(process):
        while process in known:
            process = known[process][0]
            if process == root:
                return True
        return False

    return check


def kill_one_actor(training, metrics, killed):
    """Kills an actor that plays, once the second iteration is done."""
    while training.poll() is None:
        time.sleep(0.002)
        if not metrics.exists() or metrics.read_bytes().count(b"\n") < 2:
            continue
        known = processes()
        ours = below(training.pid, known)
        playing = [p for p, (_, title) in known.items() if title.startswith("ray::_Hands.play") and ours(p)]
        if playing:
            os.kill(playing[0], signal.SIGKILL)
            killed.append(playing[0])
            return


def rollouts(folder):
    def command(run, *more):
        settings = [f"--set={key}={value}" for key, value in {**SMALL, "iterations": ITERATIONS}.items()]
        return [
            costate.training.find(),
            "train",
            str(DATA / "pendulum"),
            "--algo",
            "gan-gcl",
            "-o",
            str(run),
            *settings,
            *more,
        ]

    subprocess.run([*command(folder / "local", "-q")], check=True, stdout=subprocess.DEVNULL)
    actors = shlex.join([sys.executable, "-m", "costate.ray", "--actors", "2"])
    began, killed = time.monotonic(), []
    training = subprocess.Popen(
        command(folder / "actors", "--rollouts", actors), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    killer = threading.Thread(target=kill_one_actor, args=(training, folder / "actors/metrics.jsonl", killed))
    killer.start()
    _, said = training.communicate()
    killer.join()
    assert training.returncode == 0, said
    lost = [line.partition("actor ")[2] for line in said.splitlines() if "was lost" in line]
    assert killed and lost, said
    local, actors = digest(folder / "local"), digest(folder / "actors")
    print(f"local run               policy {local}")
    print(f"2 actors, one killed    policy {actors}   ({time.monotonic() - began:.0f} s; actor {lost[0]})")
    assert local == actors
    for _ in range(50):
        left = [title for _, title in processes().values() if str(folder) in title or title.startswith("ray::_Hands")]
        if not left:
            break
        time.sleep(0.2)
    assert not left, left


def sweeps(folder):
    chosen = {"learning_rate": [1e-3, 3e-3], "iterations": 20}
    asked = ([DATA / "pendulum", DATA / "point_mass"], "bc", chosen, [0, 1], folder / "sweep")
    began = time.monotonic()
    rows = sweep(*asked, evaluate=10)
    seconds = time.monotonic() - began
    assert len(rows) == 8 and not any(row["error"] for row in rows), rows
    alone = costate.train(
        DATA / "point_mass", "bc", {"learning_rate": 3e-3, "iterations": 20}, folder / "alone", seed=1, progress=False
    )
    assert digest(alone.path) == digest(Path(rows[-1]["run"]))
    before = {row["run"]: os.stat(Path(row["run"], "policy.safetensors")).st_mtime_ns for row in rows}
    began = time.monotonic()
    assert sweep(*asked, evaluate=10) == rows
    assert before == {run: os.stat(Path(run, "policy.safetensors")).st_mtime_ns for run in before}
    table = pandas.DataFrame(rows)
    table["dataset"] = [Path(path).name for path in table["dataset"]]
    print(
        f"sweep of {len(rows)} runs in {seconds:.0f} s; again, with nothing to do, in {time.monotonic() - began:.1f} s"
    )
    print(table[["dataset", "algo", "seed", "learning_rate", "loss", "score"]].to_string(index=False))


def data():
    ours = costate.Dataset.open(DATA / "pendulum")
    files = [str(DATA / f"pendulum/data/{i}/part-0.parquet") for i in range(len(ours))]
    theirs = ray.data.read_parquet(files)
    columns = theirs.schema().names
    rows = theirs.count()
    assert rows == sum(len(episode.observations) for episode in ours)
    first = ray.data.read_parquet(files[:1]).to_pandas()
    observations = np.stack(first["observations"].to_numpy())
    assert np.array_equal(observations.astype(np.float32), ours[0].observations)
    print(f"Ray Data: {rows} rows of {len(ours)} episodes, columns {', '.join(columns)}")


if __name__ == "__main__":
    print(f"ray {ray.__version__}")
    with tempfile.TemporaryDirectory() as place:
        rollouts(Path(place))
        sweeps(Path(place))
        data()
