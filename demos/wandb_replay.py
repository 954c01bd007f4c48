"""Replays a run's metrics into Weights & Biases, on the machine itself unless asked to send them.

    pip install wandb==0.31.0
    python demos/wandb_replay.py runs/pendulum-gan-gcl-0                  # offline, into ./wandb
    python demos/wandb_replay.py runs/* --project costate --mode online

Every iteration becomes a step with its metrics; config.json becomes the configuration, evaluation.json and held_out.json
the summary. An offline run is sent later with `wandb sync`. Costate never sends anything itself.
"""

import argparse
import json
from pathlib import Path

import wandb


def flat(value, prefix=""):
    """Numbers of nested objects by dotted path."""
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from flat(inner, f"{prefix}{key}.")
        elif isinstance(inner, (int, float)) and not isinstance(inner, bool):
            yield f"{prefix}{key}", inner


def lines(file):
    """The metrics of complete lines: a run that was killed may leave half a line."""
    for line in file.read_text().splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


def replay(folder, project, mode):
    config = json.loads((folder / "config.json").read_text())
    with wandb.init(project=project, name=folder.name, config=config, mode=mode, dir=".") as run:
        for metrics in lines(folder / "metrics.jsonl"):
            step = metrics.pop("iteration")
            run.log(metrics, step=step)
        for name in ("evaluation", "held_out"):
            file = folder / f"{name}.json"
            if file.exists():
                run.summary.update(dict(flat(json.loads(file.read_text()), f"{name}.")))


def main():
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("runs", nargs="+", type=Path, help="run folders")
    asked.add_argument("--project", default="costate")
    asked.add_argument("--mode", default="offline", choices=["offline", "online"])
    asked = asked.parse_args()
    for folder in asked.runs:
        replay(folder, asked.project, asked.mode)


if __name__ == "__main__":
    main()
