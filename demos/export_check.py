"""Holds exported policies and costs of every world against Costate's own results, with ONNX Runtime, a C compiler and
the numpy program of docs/weights.md.

    pip install onnx==1.23.2 onnxruntime==1.32.0 numpy
    python demos/export_check.py target/debug/costate            # all worlds: minutes
    python demos/export_check.py target/debug/costate pendulum   # some

Not part of the tests, because it needs Python packages; tests/export.rs does the same by tract. Exits with an error on
any disagreement. Last passed with onnx 1.23.2, ONNX Runtime 1.32.0, numpy 2.4.6 and gcc 12.
"""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

ROOT = Path(__file__).parent.parent
EXAMPLES = 10_000
SMALL = {
    "gan-gcl": ["iterations=1", "validation.policies=0", "trajectories=8", "cost_steps=5"],
    "airl": ["iterations=1", "trajectories=8"],
    "gcl": ["iterations=1", "trajectories=8"],
    "bc": ["iterations=100"],
    "ibc": ["iterations=20"],
}
# Further forms of policies and costs.
FORMS = [
    ("pendulum", "bc", ["policy.std_form=network"]),
    ("pendulum", "ibc", []),
    ("pendulum", "gcl", []),
    ("point_mass", "airl", []),
    ("point_mass", "gan-gcl", ["cost.bound=2", "cost.action_penalty=0.1"]),
    ("cart_pole", "gan-gcl", ["cost.channels=[\"cart_position\"]", "cost.state_only=true", "base_steps=0"]),
]
# Graph, C function, inputs and output, as columns of examples.csv.
COMPUTED = [
    ("{p}", "{p}_mean", ["observation"], "{p}.mean"),
    (None, "{p}_std", ["observation"], "{p}.std"),
    ("{p}_sample", "{p}_sample", ["observation", "{p}.noise"], "{p}.sample"),
    ("{p}_density", "{p}_log_density", ["observation", "action"], "{p}.log_density"),
    ("{p}_energy", "{p}_energy", ["observation", "action"], "{p}.energy"),
    ("cost", "cost", ["observation", "action"], "cost"),
    ("value", "value", ["observation"], "value"),
]
# Actions are to agree to single precision. Energies and costs are sums of more terms; a density divides by σ what the
# mean is off.
ACTIONS = ("mean", "std", "sample")
TOLERANCE = 1e-6
LOOSE = 5e-5
# The page's program computes in double precision: what differs is our actor's own rounding and tanh.
NUMPY = 5e-6


def columns(folder):
    """Arrays of examples.csv by the part of the name before the channel's."""
    with open(folder / "examples.csv") as file:
        names = next(csv.reader(file))
        rows = np.loadtxt(file, delimiter=",", dtype=np.float64, ndmin=2)
    found = {}
    for i, name in enumerate(names):
        scalar = name in ("cost", "value") or name.endswith((".log_density", ".energy"))
        found.setdefault(name if scalar else name.rsplit(".", 1)[0], []).append(rows[:, i])
    return {name: np.stack(c, 1) for name, c in found.items()}


def deviation(found, expected, unit=1.0):
    """The largest |found − expected|, in units or relative to the value, whichever is less."""
    found = np.asarray(found, float).reshape(expected.shape)
    return np.max(np.abs(found - expected) / np.maximum(unit, np.abs(expected)))


def half_range(file):
    """Half ranges of the actions, by the header of a weights file."""
    data = file.read_bytes()
    tensors = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return np.array(json.loads(tensors["__metadata__"]["costate"])["action_scale"]["half_range"])


def by_onnx(file, arrays):
    onnx.checker.check_model(onnx.load(file), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 2
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    inputs = dict(zip(names, (a.astype(np.float32) for a in arrays), strict=True))
    batch = session.run(None, inputs)[0]
    # One at a time as in a control loop.
    one = session.run(None, {name: a[:1] for name, a in inputs.items()})[0]
    assert deviation(one, np.asarray(batch[:1], float)) < 1e-6
    assert session.get_modelmeta().custom_metadata_map["environment"]
    return batch


def by_c(folder, world, function, arrays):
    program = folder / "program"
    if not program.exists():
        flags = "-std=c99 -O2 -Wall -Wextra -Wpedantic -Werror -DCOSTATE_MAIN".split()
        subprocess.run(["cc", *flags, folder / f"{world}.c", "-lm", "-o", program], check=True)
    rows = np.concatenate(arrays, 1)
    text = "\n".join(" ".join(f"{v:.9g}" for v in row) for row in rows)
    done = subprocess.run([program, function], input=text, text=True, check=True, stdout=subprocess.PIPE)
    return np.array(done.stdout.split(), float)


def by_numpy(file, observations):
    """The program of docs/weights.md, without its last lines, which read the command line."""
    code = (ROOT / "docs/weights.md").read_text().split("```python\n")[1].split("```")[0]
    names = {}
    exec(code.split("mean, std = policy(")[0], names)
    header, tensors = names["read"](file)
    return np.array([names["policy"](header, tensors, o)[0] for o in observations])


def check(costate, place, folder, world, label):
    run = [costate, "--quiet", "export", place, "--to", "onnx,c,safetensors", "-o", folder, "--examples", EXAMPLES]
    subprocess.run(list(map(str, run)), check=True, stdout=subprocess.DEVNULL)
    own = columns(folder)
    half = half_range(next(folder.glob("*.safetensors")))
    found = {}
    for graph, function, inputs, output in COMPUTED:
        at = lambda text: text.format(p="policy")
        if at(output) not in own:
            continue
        arrays = [own[at(name)] for name in inputs]
        expected = own[at(output)]
        assert len(expected) == EXAMPLES
        what = at(output).split(".")[-1]
        limit, unit = (TOLERANCE, half) if what in ACTIONS else (LOOSE, 1.0)
        deviations = [None, deviation(by_c(folder, world, at(function), arrays), expected, unit)]
        if graph:
            deviations[0] = deviation(by_onnx(folder / f"{at(graph)}.onnx", arrays), expected, unit)
        if what == "mean":
            some = slice(0, 500)
            numpy = by_numpy(folder / "policy.safetensors", own["observation"][some])
            found["numpy"] = deviation(numpy, expected[some], half)
            if found["numpy"] > NUMPY:
                failed.append(f"{label}: numpy is off by {found['numpy']:.1e}")
        found[what] = deviations
        worst = max(d for d in deviations if d is not None)
        if worst > limit:
            failed.append(f"{label}: {what} is off by {worst:.1e}, expected at most {limit:.0e}")
    shown = lambda d: "–" if d is None else f"{d:.1e}"
    cells = [f"{what} {shown(d) if what == 'numpy' else ' '.join(map(shown, d))}" for what, d in found.items()]
    print(f"{label}: " + ", ".join(cells), flush=True)


costate = Path(sys.argv[1]).absolute()
listed = subprocess.run([costate, "envs", "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout
worlds = sys.argv[2:] or [e["name"] for e in json.loads(listed)]
failed = []
print("largest difference by ONNX Runtime, then C; of actions relative to the larger of half range and value, else of 1 and value")
with tempfile.TemporaryDirectory() as temporary:
    runs = [(world, "gan-gcl", []) for world in worlds] + [f for f in FORMS if f[0] in worlds]
    for i, (world, algo, settings) in enumerate(runs):
        run = Path(temporary) / str(i)
        train = [costate, "--quiet", "train", ROOT / "demos/data" / world, "--algo", algo, "-o", run]
        for setting in [*SMALL[algo], *settings]:
            train += ["--set", setting]
        subprocess.run(list(map(str, train)), check=True, stdout=subprocess.DEVNULL)
        check(costate, run, run / "export", world, " ".join([world, algo, *settings]))
    for file in sorted((ROOT / "assets/experts").glob("*.safetensors")):
        if file.stem in worlds:
            check(costate, file, Path(temporary) / f"expert-{file.stem}", file.stem, f"{file.stem} expert")
sys.exit("\n".join(failed) or 0)
