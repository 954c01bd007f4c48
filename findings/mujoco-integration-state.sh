#!/usr/bin/env bash
# MuJoCo 4.0.0 under Gymnasium 1.4.0: an episode of Ant-v5 or Humanoid-v5 that is restored from mjSTATE_INTEGRATION, which
# MuJoCo's documentation calls everything that integration depends on, goes on with other numbers than the one that was
# saved, also after mj_forward; Hopper-v5 and HalfCheetah-v5 go on the same. A copy of the whole mjData goes on the same
# everywhere.
# Why: the environments compute rewards and observations from derived quantities (body positions, contact forces) as the
# last step left them, half a step behind qpos; they are no part of any state vector. What Costate does about it: it keeps
# the whole mjData, and compares.
# Exits 0 while this is so, 1 once it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q install "gymnasium[mujoco]==1.4.0" mujoco==4.0.0 numpy==2.4.6
cd "$work"
cat >check.py <<'P'
import sys
import gymnasium, mujoco, numpy as np

KIND = mujoco.mjtState.mjSTATE_INTEGRATION


def vector(model, data):
    state = np.empty(mujoco.mj_stateSize(model, KIND))
    mujoco.mj_getState(model, data, state, KIND)
    return lambda: mujoco.mj_setState(model, data, state, KIND)


def vector_and_forward(model, data):
    restore = vector(model, data)
    return lambda: (restore(), mujoco.mj_forward(model, data))


def whole(model, data):
    kept = mujoco.MjData(model)
    mujoco.mj_copyData(kept, model, data)
    return lambda: mujoco.mj_copyData(data, model, kept)


found = {}
for name in ["Hopper-v5", "HalfCheetah-v5", "Ant-v5", "Humanoid-v5"]:
    env = gymnasium.make(name)
    random = np.random.default_rng(0)
    space = env.action_space
    actions = random.uniform(space.low, space.high, (15, *space.shape)).astype(np.float32)

    def play(steps):
        seen = (env.step(action) for action in actions[steps])
        return [(o.tobytes(), float(r)) for o, r, *_ in seen]

    model, data = env.unwrapped.model, env.unwrapped.data
    for keep in (vector, vector_and_forward, whole):
        env.reset(seed=3)
        play(slice(0, 10))
        restore = keep(model, data)
        expected = play(slice(10, 15))
        restore()
        again = play(slice(10, 15))
        found[name, keep.__name__] = again == expected
        first = next((i for i, (a, b) in enumerate(zip(expected, again)) if a != b), None)
        print(f"{name}, {keep.__name__}: {'the same' if first is None else f'differs from step {first} on'}")
print(f"mujoco {mujoco.__version__}, gymnasium {gymnasium.__version__}")
vectors = {name: found[name, "vector"] or found[name, "vector_and_forward"] for name, _ in found}
as_known = vectors == {"Hopper-v5": True, "HalfCheetah-v5": True, "Ant-v5": False, "Humanoid-v5": False}
sys.exit(0 if as_known and all(found[name, "whole"] for name, _ in found) else 1)
P
"$work/venv/bin/python" check.py
