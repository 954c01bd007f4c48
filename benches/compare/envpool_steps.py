"""Control steps a second on one thread: Costate's worlds beside EnvPool's, in turns.

    python3 -m venv compare && compare/bin/pip install -r benches/compare/requirements-envpool.txt
    cargo build --release
    compare/bin/python benches/compare/envpool_steps.py target/release/costate

EnvPool steps 16 worlds on one thread under random actions; Costate's figure is a rollout on one thread, with its
actor, noise, log-densities and recording (`costate bench speed`). Writes envpool_steps.json beside this file.
"""

import datetime
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import envpool
import numpy as np

# Costate's world, EnvPool's, and seconds that a control step of EnvPool's simulates.
PAIRS = [
    ("hopper", "Hopper-v4", 0.008),
    ("walker", "Walker2d-v4", 0.008),
    ("half_cheetah", "HalfCheetah-v4", 0.05),
    ("bipedal_walker", "BipedalWalker-v3", 0.02),
    ("lunar_lander", "LunarLanderContinuous-v2", 0.02),
]
ROUNDS = 7
WORLDS = 16
STEPS = 200


class EnvPool:
    def __init__(self, name):
        self.envs = envpool.make(
            name, env_type="gymnasium", num_envs=WORLDS, batch_size=WORLDS, num_threads=1, seed=0
        )
        self.envs.reset()
        space = self.envs.action_space
        rng = np.random.default_rng(0)
        shape = (64, WORLDS) + space.shape
        self.actions = rng.uniform(space.low, space.high, shape).astype(space.dtype)

    def rate(self):
        began = time.perf_counter()
        for i in range(STEPS):
            self.envs.step(self.actions[i % len(self.actions)])
        return WORLDS * STEPS / (time.perf_counter() - began)


def costate_row(binary, world):
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "bench", "speed", "--envs", world, "--turns", "3", "--seeds", "0"]
        command += ["-o", folder, "--quiet", "--json"]
        found = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(found.stdout)


def main():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} PATH_OF_COSTATE")
    binary = sys.argv[1]
    listed = subprocess.run([binary, "envs", "--json"], check=True, capture_output=True, text=True)
    periods = {e["name"]: e["control_period_s"] for e in json.loads(listed.stdout)}
    rows = []
    for world, other, other_period in PAIRS:
        pool = EnvPool(other)
        pool.rate()
        theirs, ours, bare = [], [], []
        for _ in range(ROUNDS):
            theirs.append(pool.rate())
            found = costate_row(binary, world)
            ours.append(found["worlds"][0]["rollout_steps_per_second_1"])
            bare.append(1e6 / found["worlds"][0]["bare_step_us"])
        ratio = statistics.median(a / b for a, b in zip(ours, theirs))
        rows.append(
            {
                "world": world,
                "control_period_s": periods[world],
                "rollout_steps_per_second": statistics.median(ours),
                "bare_steps_per_second": statistics.median(bare),
                "envpool": other,
                "envpool_control_period_s": other_period,
                "envpool_steps_per_second": statistics.median(theirs),
                "ratio": ratio,
                "ratio_of_simulated_time": ratio * periods[world] / other_period,
            }
        )
        row = rows[-1]
        print(
            f"{world:<15} {row['rollout_steps_per_second']:>9.0f} a second, {other:<25}"
            f"{row['envpool_steps_per_second']:>8.0f}: {ratio:.1f} times"
            f" ({row['ratio_of_simulated_time']:.1f} in simulated time)",
            flush=True,
        )
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": found["machine"],
        "envpool": envpool.__version__,
        "rounds": ROUNDS,
        "rows": rows,
    }
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
