"""Frozen policies."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _costate

Array = npt.NDArray[np.float32]


class Policy:
    """A frozen policy, evaluated in Rust by the actor of Costate's own rollouts, with the same bits.

    `observations` are `[N, observation dim]` or one `[observation dim]`, `actions` alike; results have no N for one.
    Actions are not clipped: worlds saturate commands by themselves.

    Args:
        path: A run folder, or a `policy.safetensors` file.

    Raises:
        ValueError: A file that is missing, damaged, newer or no policy; arrays of other shapes; a density asked of an
            implicit policy (`ibc`), which has an energy only, or of a flow policy (`flow-bc`), which only draws.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.core = _costate.Policy(self.path)

    @property
    def env(self) -> str:
        """Name of the world that it acts in."""
        return self.core.env

    @property
    def kind(self) -> str:
        """`gaussian`, `implicit` or `flow`."""
        return self.core.kind

    @property
    def observation_dim(self) -> int:
        """Entries of an observation."""
        return self.core.dims[0]

    @property
    def action_dim(self) -> int:
        """Entries of an action."""
        return self.core.dims[1]

    def mean(self, observations: npt.ArrayLike) -> Array:
        """Mean actions μ(s), `[N, action dim]`."""
        rows, one = batch("observations", observations)
        return unbatch(self.core.distribution(rows)[0], one)

    def std(self, observations: npt.ArrayLike) -> Array:
        """Standard deviations σ(s), `[N, action dim]`."""
        rows, one = batch("observations", observations)
        return unbatch(self.core.distribution(rows)[1], one)

    def sample(self, observations: npt.ArrayLike, seed: int) -> Array:
        """A draw a ~ π(· | s) for each observation, `[N, action dim]`.

        The observations of an episode of `rollout`, with its seed, give its actions. To a flow policy, which plans, they
        are the steps of one episode.
        """
        rows, one = batch("observations", observations)
        return unbatch(self.core.sample(rows, int(seed)), one)

    def log_density(self, observations: npt.ArrayLike, actions: npt.ArrayLike) -> Any:
        """log π(a | s), float64 `[N]`."""
        rows, one = batch("observations", observations)
        return unbatch(self.core.log_density(rows, batch("actions", actions)[0]), one)

    def energy(self, observations: npt.ArrayLike, actions: npt.ArrayLike) -> Any:
        """E(s, a) of an implicit policy, π(a | s) ∝ exp(−E), `[N]`."""
        rows, one = batch("observations", observations)
        return unbatch(self.core.energy(rows, batch("actions", actions)[0]), one)

    def __repr__(self) -> str:
        return f"<costate {self.kind} policy for {self.env}: {self.observation_dim} observations, {self.action_dim} actions>"


def load_policy(path: str | os.PathLike[str]) -> Policy:
    """The policy of a run folder or of a `policy.safetensors` file; see `Policy`."""
    return Policy(path)


def batch(name: str, array: npt.ArrayLike) -> tuple[Array, bool]:
    """Rows in memory order, and whether there was one without N."""
    rows = np.ascontiguousarray(array, np.float32)
    if np.ndim(array) not in (1, 2):
        raise ValueError(f"{name} have shape {np.shape(array)}, expected [N, dim] or [dim]")
    return np.atleast_2d(rows), np.ndim(array) == 1


def unbatch(array: Any, one: bool) -> Any:
    return array[0] if one else array
