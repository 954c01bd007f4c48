"""Demonstrations as numpy arrays, and as other libraries' objects."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from . import _costate
from .world import World


@dataclass(frozen=True)
class Episode:
    """An episode of T steps."""

    observations: npt.NDArray[np.float32]
    """s_0 … s_T, `[T+1, observation dim]`."""
    actions: npt.NDArray[np.float32]
    """Commands a_0 … a_{T−1}, `[T, action dim]`; NaN where none were recorded."""
    rewards: npt.NDArray[np.float64]
    """−c(s_t, a_t), `[T]`; NaN where the true cost is unknown."""
    log_densities: npt.NDArray[np.float64] | None
    """log π(a_t | s_t) of the policy that acted, `[T]`; None where unknown."""
    terminated: bool
    """Whether the last state is final."""
    truncated: bool
    """Whether the horizon cut the episode off."""
    seed: int
    """Seed of the start state."""
    success: bool | None
    """Whether the task was solved in the last tenth; None if it does not define success."""

    def __len__(self) -> int:
        """The number of steps T."""
        return len(self.actions)

    @property
    def total_reward(self) -> float:
        """The true return, Σ_t −c(s_t, a_t)."""
        return float(self.rewards.sum())


class Dataset(Sequence[Episode]):
    """Demonstrations, a sequence of `Episode`s. Open a folder with `Dataset.open`."""

    def __init__(self, path: Path, meta: dict[str, Any]) -> None:
        self.path = path
        """The folder."""
        self.meta = meta
        """What `meta.json` says: environment with all parameters, expert, noise, seeds, returns, checksums."""

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Dataset:
        """Opens a dataset folder of `costate record` or `costate demos import`.

        Raises:
            ValueError: Nothing there, or something other than a dataset.
        """
        return cls(Path(path), json.loads(_costate.meta(os.fspath(path))))

    @cached_property
    def episodes(self) -> list[Episode]:
        """All episodes, read at first use and checked against their checksums.

        Raises:
            RuntimeError: A data file that is missing, damaged or changed.
        """
        episodes = [Episode(**e) for e in _costate.episodes(os.fspath(self.path))]
        if self.actions_known:
            return episodes
        return [replace(e, actions=np.full_like(e.actions, np.nan)) for e in episodes]

    @property
    def actions_known(self) -> bool:
        """Whether actions were recorded."""
        return not (self.meta.get("import") or {}).get("observations_only", False)

    @cached_property
    def world(self) -> World:
        """The world that it was recorded in. Raises ValueError for data without a simulator."""
        return World.from_config(self.meta["env"])

    @property
    def env(self) -> str:
        """Name of that world."""
        return self.meta["env"]["name"]

    def __len__(self) -> int:
        return len(self.meta["episodes"])

    @overload
    def __getitem__(self, index: int) -> Episode: ...
    @overload
    def __getitem__(self, index: slice) -> list[Episode]: ...
    def __getitem__(self, index: int | slice) -> Episode | list[Episode]:
        return self.episodes[index]

    def __iter__(self) -> Iterator[Episode]:
        return iter(self.episodes)

    def __repr__(self) -> str:
        return f"<costate dataset {os.fspath(self.path)!r}: {len(self)} episodes of {self.env}>"

    def to_imitation(self) -> list[Any]:
        """The episodes as `imitation.data.types.TrajectoryWithRew`.

        `terminal` is true of all: `imitation` calls episodes that the horizon ended terminal as well, and trains on no
        other. Infos are empty.

        Raises:
            ValueError: No actions were recorded.
        """
        if not self.actions_known:
            raise ValueError(f"`{os.fspath(self.path)}`: no actions were recorded, which trajectories of `imitation` have")
        from imitation.data.types import TrajectoryWithRew

        return [
            TrajectoryWithRew(
                obs=e.observations,
                acts=e.actions,
                infos=np.array([{}] * len(e)),
                terminal=True,
                rews=e.rewards.astype(np.float32),
            )
            for e in self
        ]

    def to_minari(self) -> Any:
        """The dataset as a `minari.MinariDataset`, read by Minari from the same files: the folder is in its layout.

        Raises:
            ValueError: A folder without Minari's description, as of an unfinished recording, of very long episodes, or
                without actions.
        """
        if not self.actions_known:
            raise ValueError(f"`{os.fspath(self.path)}`: no actions were recorded, which Minari's episodes have")
        from minari import MinariDataset

        data = self.path / "data"
        if not (data / "metadata.json").exists():
            raise ValueError(f"`{data}` has no metadata.json for Minari; finish the recording with `costate record --resume`")
        return MinariDataset(str(data))
