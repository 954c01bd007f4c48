"""The page of the book and the notebook: their code runs, in order."""

import json
import os

from conftest import ROOT, RUN


def blocks(page):
    return [part.split("```")[0] for part in page.split("```python\n")[1:]]


def test_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = blocks((ROOT / "docs/python.md").read_text())
    assert len(found) >= 6
    names = {"run": RUN}
    for block in found:
        exec(compile(block, "docs/python.md", "exec"), names)
    assert (tmp_path / "swing.gif").stat().st_size > 1000
    assert "did you mean `cart_pole`" in capsys.readouterr().out


def test_the_notebook(tmp_path, monkeypatch, capsys):
    """Cell by cell in plain Python; without a command line, the run of one iteration in place of the training."""
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((ROOT / "python/examples/first_policy.ipynb").read_text())
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    names = {}
    trainings = 0
    for cell in cells:
        if "costate.train(" in cell:
            trainings += 1
            if "COSTATE_BIN" not in os.environ:
                names["run"] = names["costate"].Run(RUN)
                continue
        exec(compile(cell, "first_policy.ipynb", "exec"), names)
    assert trainings == 1
    assert names["animation"][:6] == b"GIF89a"
    assert all("outputs" in c and not c["outputs"] for c in notebook["cells"] if c["cell_type"] == "code")
