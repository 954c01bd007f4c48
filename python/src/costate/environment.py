"""One environment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from . import _costate
from .world import Actions, Parameters, World, whole, world

Array = npt.NDArray[np.float32]

RENDER_SIZE = 480
"""Pixels of the longer side of a rendered picture, unless asked otherwise."""


class Environment(gym.Env[Array, Array]):
    """A Costate world as a Gymnasium environment.

    Observations are float32 `[observation dim]`, actions float32 `[action dim]`; the reward of a step is −c(s_t, a_t),
    with c the world's true cost. `terminated`: the state is final; `truncated`: the horizon was reached. Actions are
    commands: the world saturates them to the action space, the cost sees the command.

    `reset(seed=S)` begins the episode whose start state Costate itself draws from S; further calls without a seed
    begin the episodes that follow from S. `reset(options={"coordinates": …})` starts at generalised positions and
    velocities, as `coordinates` gives them.

    At an episode's end `info["is_success"]` says whether the task was solved in its last tenth, if the task defines it.

    Args:
        env: Name of a world, or a `World`.
        variant, parameters, model: As for `World`.
        actions: `units`, commands in their units as recordings and policies have them; or `unit`, where −1 and 1 are the
            bounds of each channel, for tools that expect actions of ±1.
        render_mode: None or `rgb_array`.
        render_size: Pixels of the longer side of a picture, 64 to 4096.
        max_episode_steps: Steps after which an episode is truncated, if before the world's horizon.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 50}

    def __init__(
        self,
        env: str | World,
        *,
        variant: str | Sequence[str] = (),
        parameters: Parameters | None = None,
        model: str | os.PathLike[str] | None = None,
        actions: str = "units",
        render_mode: str | None = None,
        render_size: int = RENDER_SIZE,
        max_episode_steps: int | None = None,
    ) -> None:
        self.world = world(env, variant, parameters, model)
        self.render_mode = check_render_mode(render_mode)
        self.render_size = whole("render_size", render_size)
        self.metadata = metadata_of(self.world)
        self.observation_space = self.world.observation_space
        self._actions = Actions(self.world, actions)
        self.action_space = self._actions.space
        self._core = _costate.Single(self.world.core, limit(max_episode_steps))
        self._seeded = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Begins an episode; see the class. Raises ValueError for coordinates that do not fit the world."""
        super().reset(seed=seed)
        options = dict(options or {})
        coordinates = options.pop("coordinates", None)
        if options:
            raise ValueError(f"unknown reset option `{next(iter(options))}`, expected `coordinates`")
        if seed is not None:
            first = whole("seed", seed)
        elif not self._seeded:
            first = int(self.np_random.integers(2**63))
        else:
            first = None
        observation = self._core.next() if first is None else self._core.start(first)
        self._seeded = True
        if coordinates is not None:
            observation = self._core.start_at(np.asarray(coordinates, np.float32).ravel().tolist())
        return observation, {}

    def step(self, action: npt.ArrayLike) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """One control period under an action, `[action dim]`.

        Raises:
            ValueError: An action of another shape, or one that is not finite.
            RuntimeError: A step after the episode's end, or a simulation that diverged.
        """
        action = np.asarray(action, np.float32)
        if action.shape != self.action_space.shape:
            raise ValueError(f"the action has shape {action.shape}, expected {self.action_space.shape}")
        observation, reward, terminated, truncated, success = self._core.step(self._actions.commands(action))
        info = {} if success is None else {"is_success": success}
        return observation, reward, terminated, truncated, info

    def render(self) -> npt.NDArray[np.uint8] | None:
        """The state as a picture, uint8 `[height, width, 3]`; None without a render mode."""
        return None if self.render_mode is None else self._core.render(self.render_size)

    @property
    def solved(self) -> bool | None:
        """Whether the current state satisfies the task's goal; None if the task has none."""
        return self._core.solved

    @property
    def coordinates(self) -> Array:
        """Generalised positions, then velocities."""
        return self._core.coordinates

    @property
    def episode_seed(self) -> int:
        """Seed of the episode's start state: `reset(seed=episode_seed)` begins the same episode."""
        return self._core.seed


def make(
    env: str | World,
    *,
    variant: str | Sequence[str] = (),
    parameters: Parameters | None = None,
    **kwargs: Any,
) -> Environment:
    """A Costate world as a Gymnasium environment; see `Environment` for the arguments.

    >>> env = make("cart_pole", variant="long_pole", parameters={"dt_s": 0.01})
    """
    return Environment(env, variant=variant, parameters=parameters, **kwargs)


def metadata_of(world: World) -> dict[str, Any]:
    """Gymnasium's metadata of a world's environments."""
    return {**Environment.metadata, "render_fps": max(1, round(1 / world.control_period_s))}


def check_render_mode(render_mode: str | None) -> str | None:
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f"render_mode is {render_mode!r}, expected None or 'rgb_array'")
    return render_mode


def limit(max_episode_steps: int | None) -> int | None:
    return None if max_episode_steps is None else whole("max_episode_steps", max_episode_steps, 1)
