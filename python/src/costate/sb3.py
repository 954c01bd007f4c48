"""Costate's worlds for Stable-Baselines3: `VecEnv`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from .vector import VectorEnvironment
from .world import World, whole

try:
    from stable_baselines3.common.vec_env import VecEnv as Base
except ImportError as error:
    raise ImportError("costate.sb3 needs Stable-Baselines3: pip install stable-baselines3") from error


class VecEnv(Base):
    """N environments of one world for Stable-Baselines3, stepped in Rust.

    An ended episode is followed by the next one in the same step; its last observation is
    `info["terminal_observation"]`, and `info["TimeLimit.truncated"]` says that the horizon ended it.

    Args:
        env: Name of a world, or a `World`.
        n: Number of environments.
        kwargs: As for `VectorEnvironment`, but `autoreset` and `copy`.
    """

    def __init__(self, env: str | World, n: int, **kwargs: Any) -> None:
        self.venv = VectorEnvironment(env, n, autoreset="same_step", copy=True, **kwargs)
        self._actions = np.zeros(self.venv.action_space.shape, np.float32)
        self._seed: int | None = None
        super().__init__(n, self.venv.single_observation_space, self.venv.single_action_space)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seeds the next reset: each environment from its own stream of `seed`."""
        self._seed = None if seed is None else whole("seed", seed)
        return [self._seed] * self.num_envs

    def reset(self) -> npt.NDArray[np.float32]:
        """Begins episodes; all observations, `[N, observation dim]`."""
        seed, self._seed = self._seed, None
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return self.venv.reset(seed=seed)[0]

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Takes the actions of the next step."""
        self._actions = actions

    def step_wait(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.bool_], list[dict]]:
        """One step: observations, rewards as float32, whether episodes ended, infos."""
        observations, rewards, terminations, truncations, infos = self.venv.step(self._actions)
        each: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        ended = terminations | truncations
        if infos:
            success = infos["final_info"].get("is_success")
            for i in np.flatnonzero(ended):
                each[i]["terminal_observation"] = infos["final_obs"][i]
                each[i]["TimeLimit.truncated"] = bool(truncations[i])
                if success is not None:
                    each[i]["is_success"] = bool(success[i])
        return observations, rewards.astype(np.float32), ended, each

    def close(self) -> None:
        """Nothing to close."""

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """An attribute of the vector, once for each environment."""
        return [getattr(self.venv, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None) -> None:
        """Raises AttributeError: the environments share their attributes."""
        raise AttributeError(f"cannot set `{attr_name}`: the environments of a costate vector have no attributes of their own")

    def env_method(
        self, method_name: str, *args: Any, indices: int | Iterable[int] | None = None, **kwargs: Any
    ) -> list[Any]:
        """Raises AttributeError: the environments live in Rust."""
        raise AttributeError(f"no method `{method_name}`: the environments of a costate vector are not Python objects")

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper], indices: int | Iterable[int] | None = None
    ) -> list[bool]:
        """None is wrapped."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[npt.NDArray[np.uint8] | None]:
        """The states as pictures."""
        return self.venv.render() or [None] * self.num_envs
