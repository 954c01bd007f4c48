"""Many environments of one world, stepped in one call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from . import _costate
from .environment import RENDER_SIZE, Array, check_render_mode, limit, metadata_of
from .world import Actions, Parameters, World, whole, world

MODES = {
    "next_step": AutoresetMode.NEXT_STEP,
    "same_step": AutoresetMode.SAME_STEP,
    "disabled": AutoresetMode.DISABLED,
}


class VectorEnvironment(gym.vector.VectorEnv[Array, Array, npt.NDArray[Any]]):
    """N environments of one world, stepped in Rust without the interpreter's lock.

    Observations are float32 `[N, observation dim]`, actions float32 `[N, action dim]`, rewards float64 `[N]`,
    `terminations` and `truncations` bool `[N]`. Environment i plays, bit for bit, the episodes of a single environment
    reset with seed `first_seeds[i]`, for any number of threads.

    After an episode's end: `next_step` begins the next one in the next step, which ignores the action and has reward 0;
    `same_step` begins it at once and hands over `infos["final_obs"]` and `infos["final_info"]`; with `disabled` the
    caller resets, by `reset(options={"reset_mask": mask})`.

    Args:
        env: Name of a world, or a `World`.
        num_envs: N.
        variant, parameters, model: As for `World`.
        actions: As for `Environment`.
        autoreset: `next_step`, `same_step`, `disabled`, or an `AutoresetMode` of Gymnasium.
        threads: Threads that step them; more than one pays off for dear worlds and many environments.
        copy: Whether every step returns arrays of its own. If False, observations, rewards and flags are views of the
            same memory, overwritten by the next step.
        render_mode, render_size, max_episode_steps: As for `Environment`.
    """

    def __init__(
        self,
        env: str | World,
        num_envs: int = 1,
        *,
        variant: str | Sequence[str] = (),
        parameters: Parameters | None = None,
        model: str | os.PathLike[str] | None = None,
        actions: str = "units",
        autoreset: str | AutoresetMode = "next_step",
        threads: int = 1,
        copy: bool = True,
        render_mode: str | None = None,
        render_size: int = RENDER_SIZE,
        max_episode_steps: int | None = None,
    ) -> None:
        self.world = world(env, variant, parameters, model)
        self.num_envs = whole("num_envs", num_envs, 1)
        name = next((name for name, mode in MODES.items() if mode == autoreset), autoreset)
        self._core = _costate.Vector(
            self.world.core, self.num_envs, str(name), whole("threads", threads, 1), limit(max_episode_steps)
        )
        self.render_mode = check_render_mode(render_mode)
        self.render_size = whole("render_size", render_size)
        self.autoreset_mode = MODES[str(name)]
        self.metadata = {**metadata_of(self.world), "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = self.world.observation_space
        self._actions = Actions(self.world, actions)
        self.single_action_space = self._actions.space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.copy = copy
        self.first_seeds = np.zeros(self.num_envs, np.uint64)
        self._same_step = self.autoreset_mode == AutoresetMode.SAME_STEP
        self._last = np.zeros(self._shape(), np.float32)
        self._arrays = self._fresh()

    def _shape(self) -> tuple[int, int]:
        return self.num_envs, len(self.world.observation)

    def _fresh(self) -> tuple[npt.NDArray[Any], ...]:
        count = self.num_envs
        return np.zeros(self._shape(), np.float32), np.zeros(count), np.zeros(count, bool), np.zeros(count, bool)

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Begins episodes; returns all observations, `[N, observation dim]`.

        Args:
            seed: Of the first episodes. An integer: environment i gets its own seed, drawn from the integer's stream
                (not seed + i, which would share worlds among neighbouring seeds). N integers: one each. None: at the
                first reset a random one, afterwards the next episode of each.
            options: `reset_mask`, bool `[N]`: which environments to reset; the others go on.

        Raises:
            ValueError: Seeds or a mask of another length or kind, or a first reset of only some.
        """
        options = dict(options or {})
        mask = _mask(options.pop("reset_mask", None), self.num_envs)
        if options:
            raise ValueError(f"unknown reset option `{next(iter(options))}`, expected `reset_mask`")
        seeds = self._seeds(seed)
        if self.copy:
            self._arrays = self._fresh()
        observations, _, terminations, truncations = self._arrays
        self._core.reset(seeds, mask, observations)
        chosen = slice(None) if mask is None else mask
        if seeds is not None:
            self.first_seeds[chosen] = seeds[chosen]
        terminations[chosen] = truncations[chosen] = False
        return observations, {}

    def _seeds(self, seed: int | Sequence[int] | None) -> npt.NDArray[np.uint64] | None:
        if seed is None:
            if self._np_random is not None:
                return None
            seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
        if isinstance(seed, int | np.integer):
            self._np_random, self._np_random_seed = gym.utils.seeding.np_random(whole("seed", seed))
            return _costate.derive_seeds(whole("seed", seed), "vector", self.num_envs)
        seeds = [whole("seed", s) for s in seed]
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds given, expected one for each of {self.num_envs} environments")
        if self._np_random is None:
            self._np_random, self._np_random_seed = gym.utils.seeding.np_random(seeds[0])
        return np.array(seeds, np.uint64)

    def step(
        self, actions: npt.ArrayLike
    ) -> tuple[Array, npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]]:
        """One control period of every environment under commands, `[N, action dim]`.

        `infos["is_success"]` says of environments whose episode ended whether they solved the task, if it defines that.

        Raises:
            ValueError: Actions of another shape, or not finite: nothing has stepped.
            RuntimeError: An environment that has to be reset first, or whose simulation diverged: the others have
                stepped.
        """
        actions = np.asarray(actions, np.float32)
        if actions.shape != self.action_space.shape:
            raise ValueError(f"the actions have shape {actions.shape}, expected {self.action_space.shape}")
        if self.copy:
            self._arrays = self._fresh()
        observations, rewards, terminations, truncations = self._arrays
        successes = self._core.step(self._actions.commands(actions), observations, self._last, rewards, terminations, truncations)
        infos = {} if successes is None else self._infos(successes, terminations | truncations)
        return observations, rewards, terminations, truncations, infos

    def _infos(self, successes: list[bool | None], ended: npt.NDArray[np.bool_]) -> dict[str, Any]:
        """What is said of environments whose episode ended, in Gymnasium's form: arrays with masks."""
        infos: dict[str, Any] = {}
        if successes[int(np.argmax(ended))] is not None:
            infos = {"is_success": np.array([bool(s) for s in successes]), "_is_success": ended}
        if self._same_step:
            last = np.full(self.num_envs, None, object)
            for i in np.flatnonzero(ended):
                last[i] = self._last[i].copy()
            infos = {"final_obs": last, "_final_obs": ended, "final_info": infos, "_final_info": ended}
        return infos

    def render(self) -> tuple[npt.NDArray[np.uint8], ...] | None:
        """The states as pictures, uint8 `[height, width, 3]` each; None without a render mode."""
        return None if self.render_mode is None else tuple(self._core.render(self.render_size))

    @property
    def episode_seeds(self) -> npt.NDArray[np.uint64]:
        """Seeds of the episodes' start states, `[N]`: a single environment reset with one begins the same episode."""
        return self._core.seeds


def make_vec(
    env: str | World,
    n: int,
    autoreset: str | AutoresetMode = "next_step",
    threads: int = 1,
    **kwargs: Any,
) -> VectorEnvironment:
    """N environments of one world, stepped in one call; see `VectorEnvironment` for the arguments."""
    return VectorEnvironment(env, n, autoreset=autoreset, threads=threads, **kwargs)


def _mask(mask: Any, count: int) -> npt.NDArray[np.bool_] | None:
    if mask is None:
        return None
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (count,):
        found = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise ValueError(f"reset_mask is {found}, expected a bool array of shape ({count},)")
    if not mask.any():
        raise ValueError("reset_mask selects no environment, expected at least one")
    return np.ascontiguousarray(mask)
