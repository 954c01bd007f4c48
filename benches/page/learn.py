"""Clones and learned costs from hand-like recordings: what hand_like.py recorded, learned from and scored.

    python3 benches/page/learn.py target/release/costate work benches/page/learned.json

Trains in `work`, where the recordings lie; what is there already is not done again. Every policy is evaluated in 100 episodes.
"""

import argparse
import json
import pathlib
import statistics
import subprocess

ALGORITHMS = ["bc", "gan-gcl"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("costate", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()

    def costate(*words):
        subprocess.run([args.costate.absolute(), *words, "--quiet"], check=True, stdout=subprocess.DEVNULL)

    learned = []
    for dataset in sorted(args.work.glob("*-hand")):
        for algorithm in ALGORITHMS:
            for seed in range(args.seeds):
                run = args.work / "runs" / f"{dataset.name}-{algorithm}-{seed}"
                if not (run / "evaluation.json").exists():
                    if run.exists():
                        costate("train", "--resume", "-o", run)
                    else:
                        costate("train", dataset, "--algo", algorithm, "--seed", str(seed), "-o", run)
                    costate("evaluate", run, "--no-robustness")
                evaluation = json.loads((run / "evaluation.json").read_text())
                learned.append(row(dataset.name, algorithm, seed, evaluation))
                args.output.write_text(json.dumps(learned, indent=1) + "\n")
        show([r for r in learned if r["dataset"] == dataset.name])


def row(dataset, algorithm, seed, evaluation):
    """The policy's mean return beside the hand's and that of random actions."""
    own = next(r for r in evaluation["rows"] if r["policy"] == algorithm)
    return {"dataset": dataset, "algorithm": algorithm, "seed": seed, "return": own["return"], "success": own["success_rate"],
            "hand": evaluation["expert_return"], "random": evaluation["random_return"]}


def show(rows):
    first = rows[0]
    print(f"{first['dataset']}: hand {first['hand']:.1f}, random {first['random']:.1f}")
    for algorithm in ALGORITHMS:
        of = [r for r in rows if r["algorithm"] == algorithm]
        returns = ", ".join(f"{r['return']:.1f}" for r in of)
        success = ", ".join(f"{100 * (r['success'] or 0):.0f} %" for r in of)
        print(f"  {algorithm}: mean {statistics.mean(r['return'] for r in of):.1f} ({returns}), success {success}", flush=True)


if __name__ == "__main__":
    main()
