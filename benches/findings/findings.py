"""Good runs and planted failures, and what `costate diagnose` says of them.

    cargo build --release
    python3 -m venv findings && findings/bin/pip install pyarrow
    findings/bin/python benches/findings/findings.py train target/release/costate WORK
    findings/bin/python benches/findings/findings.py table target/release/costate

`train` makes the runs that runs.jsonl beside this file does not have yet, in the folder WORK, and appends them: it can be
interrupted and started again. `table` writes the runs of runs.jsonl back as run folders, asks `costate diagnose` about each and
prints, finding by finding, what it named, missed and named wrongly. Only cutting demonstrations short needs pyarrow.
"""

import collections
import hashlib
import json
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RUNS = HERE / "runs.jsonl"
GOOD = 0.9
# Thresholds were chosen on these worlds; the others are held out.
CHOSEN_ON = ("pendulum", "point_maze", "cart_pole", "hopper", "half_cheetah")
# What is kept of metrics.jsonl.
KEPT = (
    "iteration env_steps true_return solved discriminator_accuracy discriminator_loss ess saturation calibration_error ioc_loss log_z "
    "log_z_half_width cost_gradient_norm entropy policy_std kl passes policy_gradient_norm value_error loss held_out_loss accuracy "
    "held_out_accuracy labelled_steps entropy_weight temperature"
).split()
QUICK = ("pendulum", "point_maze", "cart_pole", "point_mass", "lunar_lander")
ADVERSARIAL = ("gan-gcl", "gcl", "airl", "gail")


def plan():
    """(world, algorithm, what is planted, seed), the quickest and most telling first."""
    clones = ("diverged clone", "few passes")
    from_nothing = ("from nothing, cost step 1e-6", "from nothing, policy step 1e-6", "from nothing, 5 iterations")
    cells = [("pendulum", algo, "", 0) for algo in (*ADVERSARIAL, "bc")]
    cells += [("point_maze", algo, "", 0) for algo in (*ADVERSARIAL, "bc")]
    cells += [("point_maze", "gan-gcl", planted, 0) for planted in PLANTED if planted not in clones]
    cells += [("walker", "gan-gcl", "", 0), ("hopper", "gan-gcl", "", 0)]
    cells += [("walker", "gan-gcl", p, 0) for p in ("five demonstrations", "one demonstration", "cost step 0.3")]
    cells += [("walker", "gan-gcl", "", 1)]
    for world in ("point_mass", "point_maze"):
        cells += [(world, algo, "diverged clone", 0) for algo in ("bc", "dagger", "ibc")]
        cells += [(world, algo, "", 0) for algo in ("bc", "dagger", "ibc")]
        cells += [(world, "bc", planted, 0) for planted in ("one demonstration", "few passes")]
    cells += [("lq", algo, "", 0) for algo in ("gan-gcl", "bc", "airl", "gail")]
    for algo in ("airl", "gail", "gcl"):
        cells += [("point_maze", algo, p, 0) for p in ("cost step 1e-6", "cost step 0.3", "policy step 1e-6", "one demonstration")]
    cells += [("pendulum", "gan-gcl", planted, 0) for planted in (*from_nothing, "cost step 0.3", "beta 1", "one demonstration")]
    cells += [("point_mass", algo, "", 0) for algo in ADVERSARIAL]
    planted = ("beta 1", "cost step 0.3", "one demonstration", "no noise", "cut short", "penalty 10", "policy step 0.1")
    cells += [("point_mass", "gan-gcl", p, 0) for p in (*from_nothing, *planted)]
    cells += [(world, "gan-gcl", "", 0) for world in ("cart_pole", "lunar_lander", "half_cheetah")]
    for algo in ("airl", "gail", "gcl"):
        cells += [("point_mass", algo, p, 0) for p in ("cost step 1e-6", "cost step 0.3", "policy step 1e-6", "one demonstration")]
    cells += [("cart_pole", "gan-gcl", planted, 0) for planted in (*from_nothing, "cost step 0.3", "beta 1", "one demonstration")]
    cells += [(world, "gan-gcl", "", 1) for world in (*QUICK, "walker", "hopper")]
    cells += [(world, "gan-gcl", "", 0) for world in ("cart_pole_swing_up", "peg_insertion", "bipedal_walker")]
    cells += [("lunar_lander", "gan-gcl", p, 0) for p in (*planted[:3], *from_nothing)]
    cells += [("walker", "gan-gcl", p, 0) for p in ("one demonstration", "cost step 0.3", "from nothing, cost step 1e-6")]
    return list(dict.fromkeys(cells))


# Planted failure → settings, by their key.
PLANTED = {
    "no noise": {},
    "horizon too short": {},
    "cut short": {},
    "one demonstration": {},
    "five demonstrations": {},
    "cost step 1e-6": {"cost_learning_rate": 1e-6},
    "from nothing, cost step 1e-6": {"cost_learning_rate": 1e-6, "base_steps": 0},
    "cost step 0.3": {"cost_learning_rate": 0.3},
    "from nothing, policy step 1e-6": {"ppo.learning_rate": 1e-6, "base_steps": 0},
    "policy step 0.1": {"ppo.learning_rate": 0.1},
    "beta 1": {"beta": 1},
    "from nothing, 5 iterations": {"iterations": 5, "base_steps": 0},
    "penalty 10": {"regularizers.gradient_penalty": 10, "base_steps": 0},
    "diverged clone": {},
    "few passes": {"iterations": 2},
}
FEWER = {"one demonstration": 1, "five demonstrations": 5}
OTHERS = {"policy step 1e-6": {"ppo.learning_rate": 1e-6}}
DIVERGED = {"bc": {"learning_rate": 1.0}, "ibc": {"learning_rate": 1.0}, "dagger": {"learning_rate": 1.0}}


def costate(binary, *arguments):
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def cut(source, target):
    """A copy of a dataset whose episodes end somewhere after a third, as if somebody had stopped recording at the goal."""
    import random

    import pyarrow as pa
    import pyarrow.parquet as parquet

    draw = random.Random(1)
    shutil.copytree(source, target)
    meta = json.loads((target / "meta.json").read_text())
    horizon = meta["spec"]["horizon"]
    for episode in meta["episodes"]:
        file = target / episode["file"]
        table = parquet.read_table(file)
        steps = draw.randrange(horizon * 36 // 100, horizon * 92 // 100)
        columns = {name: table[name].to_pylist()[: steps + 1] for name in table.column_names}
        columns["terminations"] = [t == steps - 1 for t in range(steps + 1)]
        columns["truncations"] = [False] * (steps + 1)
        columns["actions"][steps] = [0.0] * len(columns["actions"][steps])
        columns["true_cost"][steps] = columns["log_density"][steps] = None
        columns["rewards"][steps] = 0.0
        arrays = {name: pa.array(values, table.schema.field(name).type) for name, values in columns.items()}
        parquet.write_table(pa.table(arrays, schema=table.schema), file)
        data = file.read_bytes()
        episode["total_steps"] = steps
        episode["true_return"] = -sum_in_order(columns["true_cost"][:steps])
        episode["bytes"], episode["sha256"] = len(data), hashlib.sha256(data).hexdigest()
        (file.parent / "metadata.json").write_text(json.dumps(episode))
    meta["total_steps"] = sum(e["total_steps"] for e in meta["episodes"])
    returns = [e["true_return"] for e in meta["episodes"]]
    mean = sum_in_order(returns) / len(returns)
    spread = math.sqrt(sum_in_order([(r - mean) ** 2 for r in returns]) / max(len(returns) - 1, 1))
    meta["demonstration_return"] = {"mean": mean, "std": spread, "episodes": len(returns)}
    (target / "meta.json").write_text(json.dumps(meta))
    described = json.loads((target / "data/metadata.json").read_text())
    described["total_steps"] = meta["total_steps"]
    (target / "data/metadata.json").write_text(json.dumps(described))


def sum_in_order(values):
    total = 0.0
    for value in values:
        total += value
    return total


def demonstrations(binary, work, world, planted):
    shipped = ROOT / "demos/data" / world
    folder = work / f"{world}-{planted.replace(' ', '_')}"
    if planted == "no noise":
        arguments = ["--noise", 0]
    elif planted == "horizon too short":
        horizon = json.loads((shipped / "meta.json").read_text())["spec"]["horizon"]
        arguments = ["--set", f"env.task.horizon={horizon // 6}"]
    elif planted == "cut short":
        if not folder.exists():
            cut(shipped, folder)
        return folder
    else:
        return shipped
    if not folder.exists():
        code, _, errors = costate(binary, "record", world, "-o", folder, "-q", *arguments)
        if code:
            raise SystemExit(errors)
    return folder


def train(binary, work):
    work.mkdir(parents=True, exist_ok=True)
    known = {tuple(run["cell"]) for run in kept()}
    returns = json.loads((ROOT / "assets/returns.json").read_text())
    for cell in plan():
        if cell in known:
            continue
        world, algo, planted, seed = cell
        settings = dict(PLANTED.get(planted, OTHERS.get(planted, {})))
        if planted == "diverged clone":
            settings = DIVERGED[algo]
        if algo == "gan-gcl":
            settings["validation.policies"] = 0
        if algo not in ("gan-gcl",):
            settings.pop("base_steps", None)
        folder = work / "-".join(str(x).replace(" ", "_").replace(",", "") for x in cell if x != "")
        # What an interruption left.
        shutil.rmtree(folder, ignore_errors=True)
        arguments = ["train", demonstrations(binary, work, world, planted), "--algo", algo, "-o", folder, "-q", "--workers", 1]
        arguments += ["--checkpoint-every", 1000, "--seed", seed]
        for key, value in settings.items():
            arguments += ["--set", f"{key}={json.dumps(value)}"]
        if planted in FEWER:
            arguments += ["-n", FEWER[planted]]
        code, _, errors = costate(binary, *arguments)
        config = json.loads((folder / "config.json").read_text())
        config["demonstrations"]["path"] = f"demos/data/{world}"
        lines = (folder / "metrics.jsonl").read_text().splitlines() if (folder / "metrics.jsonl").exists() else []
        metrics = [{k: short(v) for k, v in json.loads(line).items() if k in KEPT} for line in lines]
        score = None
        whole = demonstrations(binary, work, world, "")
        expert = json.loads((whole / "meta.json").read_text())["demonstration_return"]["mean"]
        random = returns[world]["random_return"]
        if planted == "horizon too short":
            # The share of the task that the demonstrations solve.
            score = config["demonstrations"]["success_rate"]
        elif metrics and "true_return" in metrics[-1]:
            last = [m["true_return"] for m in metrics[-3:]]
            score = (sum(last) / len(last) - random) / (expert - random)
        elif not code:
            code, out, errors = costate(binary, "evaluate", folder, "-n", 30, "--no-robustness", "--json", "-q", "--workers", 1)
            score = (json.loads(out)["return"]["mean"] - random) / (expert - random) if not code else None
        run = {"cell": cell, "score": score if score is None else round(score, 3), "error": errors.strip()[-300:] if code else None}
        with RUNS.open("a") as file:
            file.write(json.dumps({**run, "config": config, "metrics": columns(metrics)}) + "\n")
        print(*cell, run["score"], run["error"], flush=True)


def columns(metrics):
    names = [name for name in KEPT if any(name in line for line in metrics)]
    return {name: [line.get(name) for line in metrics] for name in names}


def short(value):
    return float(f"{value:.4g}") if isinstance(value, float) else value


def kept():
    return [json.loads(line) for line in RUNS.read_text().splitlines()] if RUNS.exists() else []


def diagnosed(binary, run):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "config.json").write_text(json.dumps(run["config"]))
        names = list(run["metrics"])
        lines = [dict(zip(names, values)) for values in zip(*run["metrics"].values())]
        text = [json.dumps({k: v for k, v in line.items() if v is not None}) for line in lines]
        (folder / "metrics.jsonl").write_text("".join(line + "\n" for line in text))
        code, out, errors = costate(binary, "diagnose", folder, "--json")
        return [f["name"] for f in json.loads(out)] if not code else [errors.strip()]


def table(binary):
    named = collections.defaultdict(lambda: collections.defaultdict(list))
    silent = collections.defaultdict(list)
    for run in kept():
        world, algo, planted, seed = run["cell"]
        half = "chosen on" if world in CHOSEN_ON else "held out"
        good = run["score"] is not None and run["score"] >= GOOD
        found = diagnosed(binary, run)
        label = f"{world} {algo}" + (f" [{planted}]" if planted else "") + (f" seed {seed}" if seed else "") + f" {run['score']}"
        for name in found:
            named[name][half, good].append(label)
        if not found:
            silent[half, good].append(label)
        print(f"{'good' if good else 'FAILED'}  {label}: {', '.join(found) or '-'}")
    print("\n| finding | chosen on: failed, good | held out: failed, good |\n| --- | --- | --- |")
    for name, of in [*sorted(named.items()), ("(nothing)", silent)]:
        counts = [f"{len(of[half, False])}, {len(of[half, True])}" for half in ("chosen on", "held out")]
        print(f"| {name} | {counts[0]} | {counts[1]} |")
    for name, of in sorted(named.items()):
        for half in ("chosen on", "held out"):
            if of[half, True]:
                print(f"\nin good runs, {name} ({half}): {'; '.join(of[half, True])}")
    for half in ("chosen on", "held out"):
        if silent[half, False]:
            print(f"\nfailed without a finding ({half}): {'; '.join(silent[half, False])}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"] and len(sys.argv) == 4:
        train(sys.argv[2], pathlib.Path(sys.argv[3]).resolve())
    elif sys.argv[1:2] == ["table"] and len(sys.argv) == 3:
        table(sys.argv[2])
    else:
        raise SystemExit(__doc__)
