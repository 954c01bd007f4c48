"""Costate's worlds among Gymnasium's environments, as `costate/NAME-v0`."""

from __future__ import annotations

from gymnasium.envs.registration import register as enter
from gymnasium.envs.registration import registry

from ._costate import names


def register() -> None:
    """Enters all worlds; importing `costate` does it, and so does `gymnasium.make("costate:costate/NAME-v0")`.

    The worlds truncate episodes at their own horizon, so none is entered with `max_episode_steps`.
    """
    for name in names():
        identity = f"costate/{name}-v0"
        if identity not in registry:
            enter(
                id=identity,
                entry_point="costate.environment:Environment",
                vector_entry_point="costate.vector:VectorEnvironment",
                kwargs={"env": name},
            )
