"""Stable-Baselines3 on Costate's worlds: its own checks, the vector's infos, a short PPO.

    pip install -r python/neighbours/sb3.txt && pip install ./python && python python/neighbours/sb3.py

Not a part of CI, as it needs torch. Exits 1 if something is not as expected.
"""

import warnings

import costate
import numpy as np
import stable_baselines3
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecMonitor

def checks():
    for name in costate.names():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(costate.make(name, actions="unit", render_mode="rgb_array"))
    # In their own units, the advice to rescale actions is all that is said.
    advised = []
    for name in costate.names():
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            check_env(costate.make(name, render_mode="rgb_array"))
        assert all("normalized" in str(w.message) for w in said), [str(w.message) for w in said]
        if said:
            advised.append(name)
    print(f"check_env: {len(costate.names())} worlds pass without a warning with actions=\"unit\"; without it, SB3 advises "
          f"to rescale the actions of {', '.join(advised)}")


def vector():
    world = costate.World("cart_pole", parameters={"horizon": 9})
    ours = costate.sb3.VecEnv(world, 3)
    ours.seed(5)
    assert ours.reset().shape == (3, len(world.observation))
    singles = [costate.make(world) for _ in range(3)]
    for single, seed in zip(singles, ours.venv.first_seeds, strict=True):
        single.reset(seed=int(seed))
    for _ in range(20):
        observations, rewards, dones, infos = ours.step(np.zeros((3, 1), np.float32))
        for i, single in enumerate(singles):
            observation, reward, terminated, truncated, _ = single.step([0.0])
            assert dones[i] == (terminated or truncated) and rewards[i] == np.float32(reward)
            if dones[i]:
                assert np.array_equal(infos[i]["terminal_observation"], observation)
                assert infos[i]["TimeLimit.truncated"] == truncated
                observation, _ = single.reset()
            assert np.array_equal(observations[i], observation)
    print("VecEnv: terminal_observation, TimeLimit.truncated and the episodes are those of single environments")


def learn():
    world = costate.World("point_mass")
    # Monitored, so that the world's own returns are compared.
    training, test = VecMonitor(costate.sb3.VecEnv(world, 16)), VecMonitor(costate.sb3.VecEnv(world, 10))
    model = PPO("MlpPolicy", training, n_steps=64, batch_size=256, gamma=0.95, learning_rate=1e-3, seed=0, device="cpu")
    scores = [evaluate_policy(model, test, 30)[0]]
    model.learn(20_000)
    scores.append(evaluate_policy(model, test, 30)[0])
    print(f"PPO on point_mass, 20,000 steps: return {scores[0]:.1f} before, {scores[1]:.1f} after")
    assert scores[1] > scores[0]


print(f"stable-baselines3 {stable_baselines3.__version__}, numpy {np.__version__}")
torch.set_num_threads(1)
checks()
vector()
learn()
