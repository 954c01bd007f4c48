"""Two commits side by side: what a newcomer waits for, and what somebody waits for who changes a learner.

    python3 benches/speed/first_minutes.py OLD NEW [--turns 5] [-o FILE]

OLD and NEW are commits of this repository. They take turns; each turn clones the commit into a fresh folder, with empty
caches of cargo and of Costate, and measures

- fresh: seconds of `cargo xtask demo`, everything fetched and compiled, the demo run to its end;
- again: seconds of the same command without a change (the demo alone);
- changed: seconds of the same command after a function was added to a learner;
- binary_mib, target_mib: what the program and the folder `target` take.

Every measurement is a row of FILE (first_minutes.json beside this script), so that an interrupted comparison goes on
where it was. Prints medians and the turns' ratios NEW / OLD. What is fetched comes over the network: let nothing else
use it. Half an hour a turn on two cores.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# In a learner, in code that both commits have.
LEARNER = "src/learners/gcl.rs"
ADDED = """
/// Changed by a measurement.
pub fn measured() -> u64 {
    1
}
"""


def environment(folder):
    """Empty caches; cargo keeps its configuration, which may name a mirror."""
    home = folder / "cargo"
    home.mkdir()
    own = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    for name in ["config.toml", "config", "credentials.toml"]:
        if (own / name).exists():
            shutil.copy(own / name, home / name)
    kept = {k: v for k, v in os.environ.items() if k not in ("LIBTORCH", "CARGO_TARGET_DIR", "CARGO_INCREMENTAL")}
    return kept | {"CARGO_HOME": str(home), "COSTATE_CACHE": str(folder / "cache")}


def timed(clone, environ):
    began = time.perf_counter()
    done = subprocess.run(["cargo", "xtask", "demo"], cwd=clone, env=environ, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"cargo xtask demo: exit code {done.returncode}\n{done.stderr[-3000:]}")
    return time.perf_counter() - began


def mib(path):
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file() and not f.is_symlink()]
    return sum(f.stat().st_size for f in files) / 2**20


def measure(commit):
    with tempfile.TemporaryDirectory(prefix="costate-first-") as scratch:
        folder = Path(scratch)
        clone = folder / "costate"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        subprocess.run(["git", "checkout", "--quiet", commit], cwd=clone, check=True)
        environ = environment(folder)
        fresh = timed(clone, environ)
        again = timed(clone, environ)
        text = (clone / LEARNER).read_text()
        (clone / LEARNER).write_text(text + ADDED)
        changed = timed(clone, environ)
        target = clone / "target"
        return {
            "fresh": fresh,
            "again": again,
            "changed": changed,
            "binary_mib": mib(target / "release" / "costate"),
            "target_mib": mib(target),
        }


def report(done):
    of = {b: {row["turn"]: row for row in done if row["build"] == b} for b in ("old", "new")}
    turns = sorted(of["old"].keys() & of["new"].keys())
    for what in ["fresh", "again", "changed", "binary_mib", "target_mib"]:
        pairs = [(of["old"][t][what], of["new"][t][what]) for t in turns]
        if pairs:
            old, new = (statistics.median(values) for values in zip(*pairs, strict=True))
            ratio = statistics.median(b / a for a, b in pairs)
            print(f"{what}: {old:.1f} → {new:.1f}, × {ratio:.3f} of {len(pairs)} turns", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "first_minutes.json")
    asked = parser.parse_args()
    done = json.loads(asked.output.read_text()) if asked.output.exists() else []
    for turn in range(asked.turns):
        for build in ["old", "new"] if turn % 2 == 0 else ["new", "old"]:
            commit = getattr(asked, build)
            if any((row["turn"], row["build"], row["commit"]) == (turn, build, commit) for row in done):
                continue
            done.append({"turn": turn, "build": build, "commit": commit} | measure(commit))
            asked.output.write_text("[\n" + ",\n".join("  " + json.dumps(row) for row in done) + "\n]\n")
        report(done)


if __name__ == "__main__":
    main()
