"""Imitation of Stable-Baselines3's experts in Gymnasium's environments: normalised scores over seeds.

    COSTATE_PYTHON=venv/bin/python python3 benches/gym/results.py target/release/costate work \\
        Pendulum-v1:pendulum.onnx:4 Hopper-v5:hopper.onnx:25:0.005

The experts come from train_expert.py and demos/sb3_to_onnx.py. Each is recorded, imitated by every algorithm and seed, and
each policy evaluated in 100 episodes; what is in the folder `work` already is not done again. Writes results.json beside
this file after every run. With --imitation, GAIL of the library `imitation` learns from the same demonstrations.
"""

import argparse
import json
import math
import pathlib
import statistics
import subprocess

# GAIL of the library `imitation`.
IMITATION = "imitation-gail"
ALGORITHMS = ["bc", "gail", "airl", "gan-gcl"]
# Costate's own settings for its pendulum in effort. Hopper ends episodes when it falls: a cost of both signs pays for falling,
# so GAIL's reward is the positive one and AIRL, whose reward is what it is, starts as a clone; gan-gcl does anyway.
LONG = {"trajectories": 16, "iterations": 200, "ppo.discount": 0.99, "ppo.learning_rate": 0.001}
SETTINGS = {
    "Pendulum-v1": dict.fromkeys(["gail", "airl", "gan-gcl"], {"iterations": 30, "trajectories": 32}),
    "Hopper-v5": {
        "gail": {**LONG, "reward": "positive"},
        "airl": {**LONG, "clone_steps": 2000},
        "gan-gcl": {"trajectories": 16},
    },
}
HERE = pathlib.Path(__file__).parent
# Of Student's t, two-sided 95 %, by degrees of freedom.
T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("costate", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("cases", nargs="+", metavar="ENV:EXPERT:EPISODES[:NOISE]")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--algorithms", nargs="+", default=ALGORITHMS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--imitation", metavar="PYTHON", help="runs gail_of_imitation.py beside, with as many steps as gail took")
    args = parser.parse_args()
    args.costate = args.costate.absolute()
    args.work.mkdir(exist_ok=True, parents=True)

    def costate(*words):
        command = [args.costate, *map(str, words), "--workers", str(args.workers), "--quiet"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    for seed in range(args.seeds):
        for algorithm in args.algorithms:
            for case in args.cases:
                env, expert, episodes, *noise = case.split(":")
                demos = args.work / env
                if not demos.exists():
                    costate("record", f"gym:{env}", "--expert", expert, "-n", episodes, "-o", demos, *(f"--noise={n}" for n in noise))
                run = args.work / f"{env}-{algorithm}-{seed}"
                if (run / "evaluation.json").exists():
                    continue
                if run.exists():
                    costate("train", "--resume", "-o", run)
                else:
                    settings = SETTINGS.get(env, {}).get(algorithm, {})
                    if algorithm == "gan-gcl":
                        settings = {**settings, "validation.policies": 0}
                    changes = [w for k, v in settings.items() for w in ("--set", f"{k}={v}")]
                    costate("train", demos, "--algo", algorithm, "--seed", seed, "-o", run, *changes)
                costate("evaluate", run, "--no-robustness")
                report(args)
        for case in args.cases if args.imitation else []:
            env = case.split(":")[0]
            output = args.work / f"{env}-{IMITATION}-{seed}.json"
            if not output.exists():
                steps = json.loads((args.work / f"{env}-gail-{seed}" / "metrics.jsonl").read_text().splitlines()[-1])["env_steps"]
                command = [args.imitation, HERE / "gail_of_imitation.py", args.work / env, seed, steps, output]
                subprocess.run(list(map(str, command)), check=True)
                report(args)


def report(args):
    rows = []
    for case in args.cases:
        env, _, episodes, *_ = case.split(":")
        for algorithm in [*args.algorithms, IMITATION]:
            found = sorted([
                *args.work.glob(f"{env}-{algorithm}-[0-9]*/evaluation.json"),
                *args.work.glob(f"{env}-{algorithm}-[0-9]*.json"),
            ])
            scores = [score(json.loads(f.read_text())) for f in found]
            if not scores:
                continue
            row = {"env": env, "demonstrations": int(episodes), "algorithm": algorithm}
            row["scores"] = [round(s, 4) for s in scores]
            row["mean"] = round(statistics.mean(scores), 4)
            if len(scores) - 1 in T95:
                row["ci95"] = round(T95[len(scores) - 1] * statistics.stdev(scores) / math.sqrt(len(scores)), 4)
            rows.append(row)
            print(row, flush=True)
    experts = {}
    for case in args.cases:
        env = case.split(":")[0]
        file = args.work / env / "meta.json"
        if file.exists():
            meta = json.loads(file.read_text())
            experts[env] = {key: meta[key] for key in ("demonstration_return", "random_return")}
            experts[env]["versions"] = meta["env"]["model"]["versions"]
    (HERE / "results.json").write_text(json.dumps({"experts": experts, "rows": rows}, indent=1) + "\n")


def score(evaluation):
    return evaluation["normalized_score"]


if __name__ == "__main__":
    main()
