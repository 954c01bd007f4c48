"""Two builds of Costate side by side: what an iteration, the way to expert level, a demo and a slice of the benchmark take.

    python3 benches/speed/builds.py OLD NEW [--turns 5] [--only iteration,score,cells,demo] [-o FILE]

OLD and NEW are programs `costate`, built alike. They take turns, and every turn is a row of FILE (builds.json beside this
script), so that an interrupted comparison goes on where it was. Prints medians of OLD, NEW and of the turns' ratios
NEW / OLD with their quartiles.

- iteration: a GAN-GCL iteration with shipped settings, the median of a run's iterations after the first;
- score: seconds until the mean return of an iteration's rollouts is 0.95 of the way from random to the expert, from
  nothing (the start's cloning included), over three seeds;
- cells: `costate bench results` of 20 cells, recordings and evaluations included;
- demo: peak memory of `costate demo`, MiB, and its seconds.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "demos" / "data"
ITERATIONS = ["hopper", "walker", "pendulum"]
SCORES = ["cart_pole", "pendulum"]
SEEDS = [0, 1, 2]
# 20 cells whose frozen costs are not judged: what belongs to that differs between builds.
CELLS = [
    ["--envs", "acrobot,hopper,peg_insertion", "--methods", "bc,gan-gcl", "--seeds", "0,1,2"],
    ["--envs", "pendulum", "--methods", "bc", "--seeds", "0"],
]
NO_VALIDATION = ["--set", "validation.policies=0"]


def run(arguments):
    """Seconds and peak memory, MiB, of a command that must succeed."""
    begun = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{arguments}: exit code {process.returncode}\n{errors.decode()}")
    return time.perf_counter() - begun, usage.ru_maxrss / 1024


def rows(run_folder):
    return [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]


def train(program, world, folder, seed, *settings):
    out = folder / "run"
    run([program, "-q", "train", DATA / world, "--algo", "gan-gcl", "--seed", str(seed), *settings, *NO_VALIDATION, "-o", out])
    return rows(out)


def iteration(program, world, folder):
    found = train(program, world, folder, 0, "--set", "iterations=10", "--set", "base_steps=50")
    seconds = [row["seconds"] for row in found]
    return {"seconds": statistics.median(b - a for a, b in zip(seconds, seconds[1:], strict=False))}


def returns(world):
    meta = json.loads((DATA / world / "meta.json").read_text())
    return meta["random_return"]["mean"], meta["demonstration_return"]["mean"]


def score(program, world, folder):
    random, expert = returns(world)
    taken, last = [], []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory(dir=folder) as own:
            found = train(program, world, Path(own), seed)
        scores = [(row["true_return"] - random) / (expert - random) for row in found]
        reached = [row["seconds"] for row, s in zip(found, scores, strict=True) if s >= 0.95]
        taken.append(reached[0] if reached else None)
        last.append(scores[-1])
    if None in taken:
        return {"seconds": None, "scores": last}
    return {"seconds": statistics.mean(taken), "scores": last}


def cells(program, _, folder):
    bench = [program, "-q", "bench", "results", "-o", folder / "out", "--work", folder / "work"]
    seconds = sum(run([*bench, *some])[0] for some in CELLS)
    kept = [json.loads(file.read_text()) for file in sorted((folder / "out").rglob("*.json"))]
    return {"seconds": seconds, "cells": len(kept)}


def demo(program, _, folder):
    seconds, memory = run([program, "-q", "demo", "-o", folder / "demo"])
    return {"seconds": seconds, "memory_mib": memory}


TASKS = {
    "iteration": (iteration, ITERATIONS),
    "score": (score, SCORES),
    "cells": (cells, ["20 cells"]),
    "demo": (demo, ["cart_pole"]),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", default=",".join(TASKS))
    parser.add_argument("-o", "--output", type=Path, default=HERE / "builds.json")
    asked = parser.parse_args()
    done = json.loads(asked.output.read_text()) if asked.output.exists() else []
    for task in asked.only.split(","):
        measure, worlds = TASKS[task]
        for world in worlds:
            for turn in range(asked.turns):
                # Whoever comes second may find a warmer machine.
                order = ["old", "new"] if turn % 2 == 0 else ["new", "old"]
                for build in order:
                    key = {"task": task, "world": world, "turn": turn, "build": build}
                    if any(key.items() <= row.items() for row in done):
                        continue
                    with tempfile.TemporaryDirectory() as scratch:
                        done.append(key | measure(getattr(asked, build), world, Path(scratch)))
                    text = ",\n".join("  " + json.dumps(row) for row in done)
                    asked.output.write_text(f"[\n{text}\n]\n")
            report(task, world, done)


def report(task, world, done):
    of = {
        build: [row for row in done if (row["task"], row["world"], row["build"]) == (task, world, build)]
        for build in ["old", "new"]
    }
    for what in ["seconds", "memory_mib"]:
        pairs = [(a.get(what), b.get(what)) for a, b in zip(of["old"], of["new"], strict=False)]
        pairs = [(a, b) for a, b in pairs if a and b]
        if len(pairs) < 2:
            continue
        old, new = (statistics.median(values) for values in zip(*pairs, strict=True))
        low, middle, high = statistics.quantiles([b / a for a, b in pairs], n=4)
        print(f"{task} {world} {what}: {old:.3f} → {new:.3f}, × {middle:.3f} [{low:.3f}, {high:.3f}] of {len(pairs)} turns")


if __name__ == "__main__":
    main()
