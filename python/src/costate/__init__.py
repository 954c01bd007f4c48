"""Costate in Python: simulated worlds, demonstrations, learned policies and costs.

Worlds are Gymnasium environments (`make`, `make_vec`, or `gymnasium.make("costate/NAME-v0")`); rewards are the negative
true cost of a step. `rollout` plays whole episodes of a frozen policy, `record` those of an expert, `Dataset` opens
demonstrations, `load_policy` and `load_cost` what a run learned, and `train` drives the command line `costate`.

Costate's own errors are `ValueError` (the request is invalid and has to be changed) and `RuntimeError` (it was valid
and failed).
"""

import importlib
from typing import TYPE_CHECKING, Any

from ._costate import names
from .costs import Cost, load_cost
from .data import Dataset, Episode
from .environment import Environment, make
from .policies import Policy, load_policy
from .rollouts import animate, record, rollout
from .training import Run, train
from .registration import register
from .vector import VectorEnvironment, make_vec
from .world import Channel, World, world

if TYPE_CHECKING:
    from . import sb3

__all__ = [
    "Channel",
    "Cost",
    "Dataset",
    "Environment",
    "Episode",
    "Policy",
    "Run",
    "VectorEnvironment",
    "World",
    "animate",
    "load_cost",
    "load_policy",
    "make",
    "make_vec",
    "names",
    "record",
    "rollout",
    "sb3",
    "train",
    "world",
]

register()


def __getattr__(name: str) -> Any:
    # What needs Stable-Baselines3 is imported when it is asked for.
    if name == "sb3":
        return importlib.import_module(".sb3", __name__)
    raise AttributeError(f"module `costate` has no attribute `{name}`")
