"""Trains an expert of a Gymnasium environment with Stable-Baselines3 and keeps the best one.

    python benches/gym/train_expert.py sac Pendulum-v1 pendulum.zip --minutes 6
    python benches/gym/train_expert.py ppo Hopper-v5 hopper.zip --minutes 60

SB3's default settings; PPO with normalised observations and rewards, whose statistics lie beside it as OUTPUT.pkl. At
regular intervals the mean action is evaluated in 5 episodes of fixed seeds; OUTPUT is the policy with the highest mean
return so far, so the script may be stopped at any time.
"""

import argparse
import time

import gymnasium
import torch
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

EPISODES = 5


class KeepBest(BaseCallback):
    def __init__(self, env, output, minutes, every):
        super().__init__()
        self.env, self.output, self.every = env, output, every
        self.began, self.until = time.monotonic(), time.monotonic() + 60 * minutes
        self.best = -float("inf")

    def _on_step(self):
        if self.num_timesteps % self.every == 0:
            returns = [self.play(1_000 + i) for i in range(EPISODES)]
            mean = sum(returns) / EPISODES
            if mean > self.best:
                self.best = mean
                self.model.save(self.output)
                if normalised := self.model.get_vec_normalize_env():
                    normalised.save(self.output + ".pkl")
            minutes = (time.monotonic() - self.began) / 60
            print(f"{self.num_timesteps} steps, {minutes:.1f} min: return {mean:.1f}, best {self.best:.1f}", flush=True)
        return time.monotonic() < self.until

    def play(self, seed):
        normalised = self.model.get_vec_normalize_env()
        observation, _ = self.env.reset(seed=seed)
        total, done = 0.0, False
        while not done:
            seen = normalised.normalize_obs(observation) if normalised else observation
            action, _ = self.model.predict(seen, deterministic=True)
            observation, reward, terminated, truncated, _ = self.env.step(action)
            total, done = total + float(reward), terminated or truncated
        return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("algo", choices=["ppo", "sac"])
    parser.add_argument("env")
    parser.add_argument("output", help="a .zip file")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.algo == "sac":
        model, every = SAC("MlpPolicy", gymnasium.make(args.env), seed=args.seed, device="cpu"), 5_000
    else:
        worlds = VecNormalize(DummyVecEnv([lambda: gymnasium.make(args.env)]))
        model, every = PPO("MlpPolicy", worlds, seed=args.seed, device="cpu"), 10 * 2048
    model.learn(10**9, callback=KeepBest(gymnasium.make(args.env), args.output, args.minutes, every))


if __name__ == "__main__":
    main()
