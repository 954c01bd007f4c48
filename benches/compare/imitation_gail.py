"""Seconds to a normalised score of 0.95: Costate's GAN-GCL beside GAIL of the library `imitation`, in turns.

    python3 -m venv compare && compare/bin/pip install -r benches/compare/requirements-imitation.txt
    cargo build --release
    compare/bin/python benches/compare/imitation_gail.py target/release/costate

Both learn `cart_pole` from the same 25 demonstrations. GAIL's environment is a twin of Costate's in plain Python: the
same masses, forces, start, horizon and cost. The script first holds it against every recorded transition and against the
recorded return of random actions. GAIL's settings are those of the tutorial of imitation 1.0.1 ("Train an Agent using
Generative Adversarial Imitation Learning"); both times end with the first iteration whose own rollouts have a true return
of 0.95 on the scale of random (0) and expert (1). Imports and the reading of demonstrations are not counted. Writes
imitation_gail.json beside this file after every seed.
"""

import argparse
import datetime
import json
import math
import pathlib
import statistics
import subprocess
import tempfile
import time

import gymnasium
import numpy as np
import pyarrow.parquet
import torch
from imitation.algorithms.adversarial.gail import GAIL
from imitation.data.types import Trajectory
from imitation.rewards.reward_nets import BasicRewardNet
from imitation.util.networks import RunningNorm
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv
from stable_baselines3.ppo import MlpPolicy

EXPERT_LEVEL = 0.95
WORLDS = 8
# Steps of the tutorial, after which GAIL is given up.
MOST_STEPS = 2_000_000


class CartPole(gymnasium.Env):
    """A cart of mass m_c, pushed with u, and a uniform rod of mass m_p on it; the angle is counter-clockwise from upright."""

    def __init__(self, meta):
        model, spec = meta["env"]["model"], meta["spec"]
        cart, pole = model["bodies"]
        self.cart, self.pole, self.length = cart["mass_kg"], pole["mass_kg"], pole["shape"]["length_m"]
        self.gear = model["actuators"][0]["gear_n"]
        self.left, self.right = model["joints"][0]["limits_m"]
        self.gravity = -model["gravity_m_s2"][1]
        self.period = model["dt_s"] * model["steps_per_control"]
        self.task = model["task"]
        bounds = [np.array([c[k] for c in spec["observation"]], np.float32) for k in ("low", "high")]
        self.observation_space = gymnasium.spaces.Box(*bounds)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.rng = np.random.default_rng()

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        task = self.task
        spread = [
            task["start_position_spread_m"],
            task["start_angle_spread_rad"],
            task["start_velocity_spread_m_s"],
            task["start_angular_velocity_spread_rad_s"],
        ]
        self.state = [float(self.rng.uniform(-s, s)) for s in spread]
        self.steps = 0
        return self.observation(), {}

    def observation(self):
        x, angle, v, w = self.state
        return np.array([x, math.sin(angle), math.cos(angle), v, w], np.float32)

    def rates(self, state, force):
        """Lagrange's equations; the rod's centre lies l/2 from the hinge, so J = m l²/3 about it."""
        _, angle, v, w = state
        sin, cos = math.sin(angle), math.cos(angle)
        half = 0.5 * self.length
        # (m_c + m_p) ẍ − m_p l/2 (θ̈ cos θ − θ̇² sin θ) = F;  m_p l²/3 θ̈ − m_p l/2 ẍ cos θ = m_p g l/2 sin θ
        total, coupling = self.cart + self.pole, self.pole * half * cos
        inertia = self.pole * self.length**2 / 3.0
        push = force - self.pole * half * w * w * sin
        moment = self.pole * self.gravity * half * sin
        determinant = total * inertia - coupling * coupling
        return v, w, (inertia * push + coupling * moment) / determinant, (coupling * push + total * moment) / determinant

    def step(self, action):
        u = min(max(float(action[0]), -1.0), 1.0)
        # The midpoint rule.
        state, h = self.state, self.period
        half = [s + 0.5 * h * r for s, r in zip(state, self.rates(state, self.gear * u))]
        state = [s + h * r for s, r in zip(state, self.rates(half, self.gear * u))]
        if not self.left <= state[0] <= self.right:
            state[0], state[2] = min(max(state[0], self.left), self.right), 0.0
        self.state = state
        self.steps += 1
        x, angle, v, w = state
        task = self.task
        cost = (
            task["angle_weight"] * (1.0 - math.cos(angle))
            + task["position_weight_1_m2"] * x * x
            + task["velocity_weight_s2_m2"] * v * v
            + task["angular_velocity_weight_s2"] * w * w
            + task["action_weight"] * u * u
        )
        return self.observation(), -cost, False, self.steps == task["horizon"], {}


def demonstrations(folder):
    meta = json.loads((folder / "meta.json").read_text())
    found = []
    for episode in meta["episodes"]:
        table = pyarrow.parquet.read_table(folder / episode["file"])
        columns = [np.stack(table[name].to_numpy()) for name in ("observations", "actions")]
        # The last row holds the last observation alone.
        found.append(Trajectory(columns[0], columns[1][:-1], infos=None, terminal=True))
    return meta, found


def check_twin(meta, episodes):
    """Largest error of one step from any recorded observation, and the return of random actions."""
    env = CartPole(meta)
    worst = np.zeros(5)
    for episode in episodes:
        for now, action, after in zip(episode.obs, episode.acts, episode.obs[1:]):
            env.reset()
            env.state = [float(now[0]), math.atan2(now[1], now[2]), float(now[3]), float(now[4])]
            worst = np.maximum(worst, np.abs(env.step(action)[0] - after))
    rng, returns = np.random.default_rng(0), []
    for seed in range(100):
        env.reset(seed=seed)
        done, total = False, 0.0
        while not done:
            _, reward, _, done, _ = env.step(rng.uniform(-1.0, 1.0, 1))
            total += reward
        returns.append(total)
    return {
        "one_step_error": dict(zip([c["name"] for c in meta["spec"]["observation"]], worst.round(6).tolist())),
        "random_return": {"twin": statistics.mean(returns), "recorded": meta["random_return"]["mean"]},
    }


def gail(venv, episodes, seed, **more):
    """A PPO learner and GAIL around it, with the tutorial's settings."""
    torch.manual_seed(seed)
    venv.seed(seed)
    learner = PPO(
        env=venv,
        policy=MlpPolicy,
        batch_size=64,
        ent_coef=0.0,
        learning_rate=0.0004,
        gamma=0.95,
        n_epochs=5,
        seed=seed,
        device="cpu",
    )
    reward = BasicRewardNet(venv.observation_space, venv.action_space, normalize_input_layer=RunningNorm)
    trainer = GAIL(
        demonstrations=episodes,
        demo_batch_size=min(1024, sum(len(e) for e in episodes)),
        gen_replay_buffer_capacity=512,
        n_disc_updates_per_round=8,
        venv=venv,
        gen_algo=learner,
        reward_net=reward,
        **more,
    )
    return learner, trainer


class Reached(Exception):
    pass


def train_gail(meta, episodes, seed):
    expert, random = meta["demonstration_return"]["mean"], meta["random_return"]["mean"]
    began = time.perf_counter()
    venv = DummyVecEnv([lambda: Monitor(CartPole(meta)) for _ in range(WORLDS)])
    learner, trainer = gail(venv, episodes, seed)
    curve = []

    def after_round(_):
        count = learner.n_steps * WORLDS // meta["spec"]["horizon"]
        returns = [e["r"] for e in list(learner.ep_info_buffer)[-count:]]
        score = (statistics.mean(returns) - random) / (expert - random)
        curve.append([learner.num_timesteps, round(time.perf_counter() - began, 2), round(score, 4)])
        if score >= EXPERT_LEVEL:
            raise Reached

    reached = False
    try:
        trainer.train(MOST_STEPS, callback=after_round)
    except Reached:
        reached = True
    steps, seconds, score = curve[-1]
    return {"reached": reached, "seconds": seconds, "steps": steps, "score": score, "curve": curve}


def train_costate(binary, seed, work):
    command = [binary, "bench", "speed", "--envs", "cart_pole", "--seeds", str(seed), "--turns", "1"]
    command += ["--work", str(work), "-o", str(work / "speed"), "--quiet", "--json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found["machine"], found["time_to_score"][0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("costate", help="path of the costate binary")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1, help="of torch, for GAIL (default: %(default)s)")
    parser.add_argument("-o", "--output", type=pathlib.Path, default=pathlib.Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        rows, twin = [], None
        for seed in args.seeds:
            machine, ours = train_costate(args.costate, seed, work)
            if twin is None:
                (folder,) = [p.parent for p in work.rglob("meta.json")]
                meta, episodes = demonstrations(folder)
                twin = check_twin(meta, episodes)
                print(json.dumps(twin), flush=True)
            theirs = train_gail(meta, episodes, seed)
            rows.append({"seed": seed, "costate": ours, "imitation": theirs})
            ratio = None
            if theirs["reached"] and ours["seconds"]:
                ratio = theirs["seconds"] / ours["seconds"]
            rows[-1]["ratio"] = ratio
            print(
                f"seed {seed}: Costate {ours['seconds']:.1f} s, {ours['steps']} steps; GAIL {theirs['seconds']:.0f} s,"
                f" {theirs['steps']} steps, score {theirs['score']:.3f}; " + (f"{ratio:.0f} times" if ratio else "not reached"),
                flush=True,
            )
            result = {
                "date": datetime.date.today().isoformat(),
                "machine": machine,
                "versions": {p: __import__(p).__version__ for p in ("imitation", "stable_baselines3", "torch")},
                "torch_threads": args.threads,
                "twin": twin,
                "rows": rows,
            }
            args.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
