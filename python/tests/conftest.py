"""What the tests share."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
"""The repository."""

RUN = HERE / "data/pendulum-gan-gcl"
"""One iteration of `costate train sw --algo gan-gcl`, on 5 episodes of `costate record pendulum --seed 1 -o sw`, with
the `examples.csv` of `costate export --examples 200`."""


@pytest.fixture
def run() -> Path:
    return RUN


@pytest.fixture
def demonstrations() -> Path:
    return ROOT / "demos/data"
