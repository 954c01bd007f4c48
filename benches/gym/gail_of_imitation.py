"""GAIL of the library `imitation` on a dataset of a Gymnasium environment, for results.py.

    venv/bin/python benches/gym/gail_of_imitation.py work/Hopper-v5 0 960000 work/Hopper-v5-imitation-gail-0.json

Arguments: a dataset that Costate recorded, a seed, environment steps, the file to write. Settings are those of
../compare/imitation_gail.py, which are the tutorial's of imitation 1.0.1. The policy is evaluated in 100 episodes with sampled
actions, on the scale of random actions (0) and the demonstrations (1). imitation 1.0.1 asks for Gymnasium 0.29; it is
installed without its dependencies beside 1.4 (`pip install --no-deps imitation==1.0.1`, then tqdm, rich, tensorboard).
"""

import json
import pathlib
import statistics
import sys
import time

import gymnasium
import torch
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

sys.path.append(str(pathlib.Path(__file__).parent.parent / "compare"))
from imitation_gail import WORLDS, demonstrations, gail  # noqa: E402

EPISODES = 100


def play(env, policy, seed):
    observation, _ = env.reset(seed=seed)
    total, done = 0.0, False
    while not done:
        action, _ = policy.predict(observation, deterministic=False)
        observation, reward, terminated, truncated, _ = env.step(action)
        total, done = total + float(reward), terminated or truncated
    return total


def main():
    folder, seed, steps, output = sys.argv[1:]
    folder, seed, steps = pathlib.Path(folder), int(seed), int(steps)
    torch.set_num_threads(1)
    meta, episodes = demonstrations(folder)
    name = meta["env"]["name"].removeprefix("gym:")
    venv = DummyVecEnv([lambda: Monitor(gymnasium.make(name)) for _ in range(WORLDS)])
    # Episodes of Hopper end when it falls: their length tells the discriminator nothing that the demonstrations do not show.
    _, trainer = gail(venv, episodes, seed, allow_variable_horizon=True)
    began = time.perf_counter()
    trainer.train(steps)
    seconds = time.perf_counter() - began
    env = gymnasium.make(name)
    returns = [play(env, trainer.policy, 1_000 + i) for i in range(EPISODES)]
    expert, random = meta["demonstration_return"]["mean"], meta["random_return"]["mean"]
    result = {
        "normalized_score": (statistics.mean(returns) - random) / (expert - random),
        "returns": returns,
        "steps": steps,
        "seconds": round(seconds, 1),
    }
    pathlib.Path(output).write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
