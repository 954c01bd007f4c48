"""Steps per second of Costate's `gym:` worlds beside Stable-Baselines3's SubprocVecEnv, in turns.

    python -m venv venv && venv/bin/pip install -r benches/gym/requirements.txt
    cargo build --release -p costate-demos --example steps
    COSTATE_PYTHON=venv/bin/python venv/bin/python benches/gym/steps.py target/release/examples/steps

Both step the same environments under uniform random actions with the same number of processes, and reset them where their
episodes end. Actions are drawn beforehand for SubprocVecEnv, in the loop for Costate. Several turns, each of the two once,
in changing order; the table holds the medians. Writes steps.json beside this file.
"""

import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import time

import gymnasium
import numpy as np
import stable_baselines3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import SubprocVecEnv


def subproc(env, processes, seconds):
    worlds = make_vec_env(env, n_envs=processes, seed=0, vec_env_cls=SubprocVecEnv)
    space = worlds.action_space
    random = np.random.default_rng(0)
    actions = random.uniform(space.low, space.high, (1_000, processes, *space.shape)).astype(np.float32)
    worlds.reset()
    for action in actions[:200]:
        worlds.step(action)
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        worlds.step(actions[steps % len(actions)])
        steps += 1
    rate = steps * processes / (time.perf_counter() - began)
    worlds.close()
    return rate


def costate(binary, env, processes, seconds):
    run = subprocess.run([binary, f"gym:{env}", str(processes), str(seconds)], capture_output=True, text=True, check=True)
    return float(run.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", help="the example `steps`")
    parser.add_argument("--envs", nargs="+", default=["Pendulum-v1", "Hopper-v5"])
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--turns", type=int, default=5)
    args = parser.parse_args()
    rows = []
    for env in args.envs:
        for processes in args.processes:
            ours, theirs = [], []
            for turn in range(args.turns):
                both = [
                    lambda: ours.append(costate(args.binary, env, processes, args.seconds)),
                    lambda: theirs.append(subproc(env, processes, args.seconds)),
                ]
                for measure in both[:: 1 if turn % 2 else -1]:
                    measure()
            row = {
                "env": env,
                "processes": processes,
                "costate": [round(r) for r in ours],
                "subproc_vec_env": [round(r) for r in theirs],
                "ratio": round(statistics.median(a / b for a, b in zip(ours, theirs)), 2),
            }
            rows.append(row)
            print(row, flush=True)
    found = {
        "date": datetime.date.today().isoformat(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "gymnasium": gymnasium.__version__,
        "stable_baselines3": stable_baselines3.__version__,
        "seconds": args.seconds,
        "rows": rows,
    }
    pathlib.Path(__file__).with_name("steps.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
