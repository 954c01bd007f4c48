"""Costate's vectors against Gymnasium's SyncVectorEnv of the same worlds.

    python python/benches/vector.py [--envs 64] [--turns 7] [--seconds 0.5] [--envpool] [WORLD …]

One thread each, NEXT_STEP autoreset, the same random actions for all. What is compared is measured in turns, one after
the other, in seconds of processor time, so that other load on the machine counts as little as possible; a row's rate is
the median of its turns, its ratio the median of the turns' ratios.

`--envpool` (pip install envpool==1.2.5) adds EnvPool's environment of the same task, where it has one: its vectors are in
C++, with the task's equation of motion in place of a simulator of rigid bodies.
"""

import argparse
import platform
import statistics
import time
from importlib.metadata import version

import costate
import gymnasium as gym
import numpy as np


def rate(step, actions, count, seconds):
    """Steps of single environments a second of processor time, of all threads."""
    calls, begun = 0, time.process_time()
    while (elapsed := time.process_time() - begun) < seconds:
        for action in actions:
            step(action)
        calls += len(actions)
    return calls * count / elapsed


ENVPOOL = {"pendulum": "Pendulum-v1", "cart_pole": "CartPole-v1", "acrobot": "Acrobot-v1"}
"""EnvPool's environments of the tasks of our worlds."""


def pool(world, count):
    """EnvPool's vector of a world's task, on one thread of its own: name → (function, actions)."""
    import envpool

    name = ENVPOOL[world]
    vector = envpool.make(name, env_type="gymnasium", num_envs=count, num_threads=1, seed=0)
    vector.reset()
    space, rng = vector.action_space, np.random.default_rng(0)
    if isinstance(space, gym.spaces.Discrete):
        actions = [rng.integers(space.n, size=count).astype(np.int32) for _ in range(8)]
    else:
        actions = [rng.uniform(space.low, space.high, (count, *space.shape)).astype(np.float32) for _ in range(8)]
    return {f"EnvPool {version('envpool')}, {name}": (vector.step, actions)}


def contestants(world, count):
    """What steps a world: name → (function, actions)."""
    rng = np.random.default_rng(0)
    ours = costate.make_vec(world, count)
    ours.reset(seed=0)
    shared = costate.make_vec(world, count, copy=False)
    shared.reset(seed=0)
    single = gym.vector.SyncVectorEnv([lambda: gym.make(f"costate/{world}-v0")] * count)
    single.reset(seed=0)
    space = ours.single_action_space
    actions = [rng.uniform(space.low, space.high, (count, *space.shape)).astype(np.float32) for _ in range(8)]
    return {
        "costate": (ours.step, actions),
        "costate, copy=False": (shared.step, actions),
        "SyncVectorEnv": (single.step, actions),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--envs", type=int, default=64)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--envpool", action="store_true")
    parser.add_argument("worlds", nargs="*", default=costate.names())
    args = parser.parse_args()
    versions = [f"Python {platform.python_version()}", f"gymnasium {gym.__version__}", f"numpy {np.__version__}"]
    print(f"{args.envs} environments, one thread, {args.turns} turns of {args.seconds} s of processor time; " + ", ".join(versions))
    print("| world | stepped by | steps/s | costate is |\n| --- | --- | --- | --- |")
    for world in args.worlds:
        found = contestants(world, args.envs)
        if args.envpool and world in ENVPOOL:
            found |= pool(world, args.envs)
        rates = {name: [] for name in found}
        for _ in range(args.turns):
            for name, (step, actions) in found.items():
                rates[name].append(rate(step, actions, args.envs, args.seconds))
        for name, turns in rates.items():
            ratio = statistics.median(a / b for a, b in zip(rates["costate"], turns, strict=True))
            print(f"| `{world}` | {name} | {statistics.median(turns):,.0f} | {ratio:.2f} × |", flush=True)


if __name__ == "__main__":
    main()
