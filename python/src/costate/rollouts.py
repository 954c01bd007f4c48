"""Whole episodes in one call."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from . import _costate
from .data import Dataset, Episode
from .policies import Policy
from .world import World, whole, world


def rollout(
    env: str | World,
    policy: Policy | str | os.PathLike[str],
    episodes: int,
    seed: int = 0,
    workers: int = 1,
    *,
    deterministic: bool = False,
) -> list[Episode]:
    """Plays whole episodes of a frozen policy in Rust.

    The results depend on the seed alone: they are the same bits for any number of workers. They are the episodes of
    `costate evaluate RUN --seed SEED`. Ctrl-C ends it between two episodes.

    Args:
        env: Name of a world, or a `World`.
        policy: A `Policy`, a run folder or a `policy.safetensors` file.
        episodes: Number of episodes.
        seed: Of start states and action noise.
        workers: Threads.
        deterministic: Act by the mean (implicit policies: by the lowest energy found, flow policies: without noise); then there are no densities.

    Raises:
        ValueError: A policy that does not fit the world.
        RuntimeError: A simulation that diverged.
    """
    policy = policy if isinstance(policy, Policy) else Policy(policy)
    played = _costate.rollout(
        world(env).core, policy.core, whole("episodes", episodes), whole("seed", seed), whole("workers", workers, 1),
        deterministic,
    )  # fmt: skip
    return [Episode(**e) for e in played]


def record(
    env: str | World,
    output: str | os.PathLike[str],
    episodes: int,
    seed: int = 0,
    workers: int = 1,
    *,
    expert: str | None = None,
    noise: float | None = None,
) -> Dataset:
    """Records demonstrations of an expert into a new folder: `costate record`, with the same bits.

    Args:
        env: Name of a world, or a `World`.
        output: The folder to create.
        episodes: Number of episodes, at least 1.
        seed: Of everything: start states, noise, planners.
        workers: Threads; the data do not depend on their number.
        expert: Name of one of the world's experts, a run folder of `costate expert` or a `policy.safetensors` file;
            None: the world's best one.
        noise: Standard deviation of the action noise as a share of the action range; None: the world's default.

    Raises:
        ValueError: An expert or noise that the world does not have.
        RuntimeError: An output that exists, a full disk, a simulation that diverged.
    """
    _costate.record(
        world(env).core, os.fspath(output), whole("episodes", episodes, 1), whole("seed", seed),
        whole("workers", workers, 1), expert, noise,
    )  # fmt: skip
    return Dataset.open(output)


class Animation(bytes):
    """A GIF; notebooks show it."""

    def _repr_mimebundle_(self, **_: object) -> dict[str, bytes]:
        return {"image/gif": bytes(self)}

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the file."""
        file = Path(path)
        file.write_bytes(self)
        return file


def animate(env: str | World, episode: Episode, size: int = 480, speed: float = 1.0) -> Animation:
    """An episode as an animated GIF, replayed from its seed and its actions in the world that it is of.

    Args:
        env: Name of a world, or a `World`.
        episode: Of `rollout` or of a dataset.
        size: Pixels of the longer side, 64 to 4096.
        speed: 1 is real time.

    Raises:
        ValueError: A size or speed out of range, or actions that do not fit the world.
    """
    actions = np.ascontiguousarray(episode.actions, np.float32)
    return Animation(_costate.animate(world(env).core, episode.seed, actions, whole("size", size), float(speed)))
