"""A world with its parameters."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from . import _costate

Parameters = Mapping[str, Any]
"""Values by parameter, as `costate envs NAME` lists them: numbers, flags, names or lists; a tuple (low, high) is drawn
afresh for every episode."""


@dataclass(frozen=True)
class Channel:
    """One entry of an observation or an action."""

    name: str
    unit: str
    low: float
    high: float


class World:
    """A world: its name, variants and parameters, checked. Environments, vectors and rollouts are made of it.

    Args:
        name: One of `costate.names()`.
        variant: Name or names of the world's variants, applied in order.
        parameters: Values by parameter key, applied last.
        model: A JSON model file instead of the shipped model.

    Raises:
        ValueError: A name, key or value that the world does not have; the message suggests the nearest.
    """

    def __init__(
        self,
        name: str,
        variant: str | Sequence[str] = (),
        parameters: Parameters | None = None,
        model: str | os.PathLike[str] | None = None,
    ) -> None:
        variants = [variant] if isinstance(variant, str) else list(variant)
        settings = [(key, _text(key, value)) for key, value in (parameters or {}).items()]
        self._take(_costate.World(name, None if model is None else os.fspath(model), variants, settings))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> World:
        """The world of a complete description, as `config` gives it and datasets and runs keep it."""
        world = cls.__new__(cls)
        world._take(_costate.World.of_config(json.dumps(config)))
        return world

    def _take(self, core: _costate.World) -> None:
        self.core = core
        spec = json.loads(core.spec)
        self.name: str = spec["name"]
        self.summary: str = spec["summary"]
        self.horizon: int = spec["horizon"]
        """Steps of an episode, after which it is truncated."""
        self.control_period_s: float = spec["control_period_s"]
        """Simulated seconds of a step."""
        self.observation: tuple[Channel, ...] = tuple(Channel(**c) for c in spec["observation"])
        self.action: tuple[Channel, ...] = tuple(Channel(**c) for c in spec["action"])

    @property
    def config(self) -> dict[str, Any]:
        """The complete description."""
        return json.loads(self.core.config)

    @property
    def parameters(self) -> dict[str, Any]:
        """Every parameter with its value."""
        return {key: json.loads(value) for key, value in self.core.parameters}

    @property
    def variants(self) -> dict[str, str]:
        """Names of the world's variants with what they change."""
        return dict(self.core.variants)

    @property
    def observation_space(self) -> gym.spaces.Box:
        """Box of the observations, float32 `[observation dim]`."""
        return _box(self.observation)

    @property
    def action_space(self) -> gym.spaces.Box:
        """Box of the actions, float32 `[action dim]`. The world saturates commands beyond it by itself."""
        return _box(self.action)

    def __repr__(self) -> str:
        return f"<costate world {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return World.from_config, (self.config,)


class Actions:
    """How an environment takes actions: `units`, the commands themselves, or `unit`, where −1 and 1 are a channel's bounds.

    Unit actions are mapped to commands affinely, those beyond ±1 as well: the world saturates commands by itself.

    Args:
        world: The world.
        actions: `units` or `unit`.

    Raises:
        ValueError: Another word.
    """

    def __init__(self, world: World, actions: str) -> None:
        if actions not in ("units", "unit"):
            raise ValueError(f"actions is {actions!r}, expected 'units' or 'unit'")
        self.space = world.action_space
        self._affine: tuple[np.ndarray, np.ndarray] | None = None
        low, high = self.space.low.astype(np.float64), self.space.high.astype(np.float64)
        # Where the bounds are ±1 both are the same, bit for bit.
        if actions == "unit" and not (np.all(low == -1) and np.all(high == 1)):
            self._affine = (low + high) / 2, (high - low) / 2
            self.space = gym.spaces.Box(-1.0, 1.0, self.space.shape, np.float32)

    def commands(self, actions: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """The commands that are meant, float32, `[…, action dim]`."""
        if self._affine is not None:
            middle, half = self._affine
            actions = middle + half * np.asarray(actions, np.float32)
        return np.ascontiguousarray(actions, np.float32)


def world(
    env: str | World,
    variant: str | Sequence[str] = (),
    parameters: Parameters | None = None,
    model: str | os.PathLike[str] | None = None,
) -> World:
    """The world `env` with variants, parameters and model, or `env` itself if it is a `World`."""
    if not isinstance(env, World):
        return World(env, variant, parameters, model)
    if variant or parameters or model is not None:
        raise ValueError("a World has its variants, parameters and model; give them with a name, or to World itself")
    return env


def whole(name: str, value: Any, least: int = 0) -> int:
    """An integer argument of at least `least`, for messages that name it."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise ValueError(f"{name} is {value!r}, expected an integer")
    if not least <= value < 2**64:
        raise ValueError(f"{name} is {value}, expected an integer from {least} to 2**64 - 1")
    return int(value)


def _box(channels: tuple[Channel, ...]) -> gym.spaces.Box:
    low, high = (np.array([getattr(c, end) for c in channels], np.float32) for end in ("low", "high"))
    return gym.spaces.Box(low, high, dtype=np.float32)


def _text(key: str, value: Any) -> str:
    """A parameter's value as the command line takes it."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        if len(value) != 2 or not all(isinstance(v, (int, float)) for v in value):
            raise ValueError(f"parameter `{key}` is {value!r}, expected (low, high) for a value drawn in every episode")
        return f"{value[0]!r}..{value[1]!r}"
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError(f"parameter `{key}` is {value!r}, expected a number, flag, name, list or (low, high)") from None
