"""A copy of the rapier2d that Costate builds with, its multibodies' mass matrix summed as planar.rs does.

    python3 benches/physics/rapier.py FOLDER

Then any cargo command with `--config 'patch.crates-io.rapier2d.path="FOLDER"'` builds with the copy, best with a target
folder of its own. It is an experiment on what a change there would buy (docs/performance.md), not part of Costate.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FILE = "src/dynamics/joint/multibody_joint/multibody.rs"
FUNCTION = "    pub(crate) fn update_mass_matrix("
BEFORE = "        let mut curr_assembly_id = 0;\n"
LOOP = "for i in 0..self.links.len() {"


def source():
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    told = subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True).stdout
    (found,) = [package for package in json.loads(told)["packages"] if package["name"] == "rapier2d"]
    return Path(found["manifest_path"]).parent


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    shutil.copytree(source(), folder)
    path = folder / FILE
    text = path.read_text()
    if text.count(FUNCTION) != 1 or text.count(BEFORE) != 1:
        raise SystemExit(f"{FILE} is not as expected: is this another version of rapier2d?")
    before, rest = text.split(FUNCTION)
    head, loop = rest.split(BEFORE)
    # The general sum has nothing left to do.
    loop = re.sub(re.escape(LOOP), "for i in 0..0 {", loop, count=1)
    head += "        self.planar_mass_matrix(dt, bodies);\n"
    path.write_text(before + (HERE / "planar.rs").read_text() + FUNCTION + head + BEFORE + loop)


if __name__ == "__main__":
    main()
