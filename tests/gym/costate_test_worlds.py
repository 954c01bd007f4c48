"""Environments for tests/gym.rs: a mass on a line, in plain Python, and what may go wrong with it."""

import os
import pathlib
import signal
import time

import gymnasium
import numpy as np

print("printed while importing")


class Mass(gymnasium.Env):
    """Position and velocity of a mass; force as action. In step `at`, once if `flag` names a file, the `fault` happens."""

    metadata = {"render_fps": 10}

    def __init__(self, mass=1.0, fault="", at=7, flag=None):
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.mass, self.fault, self.at, self.flag = mass, fault, at, flag

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-1, 1, 2)
        self.steps = 0
        return self.seen(), {}

    def seen(self):
        if "drift" in self.fault:
            return self.state + np.frombuffer(os.urandom(2), np.uint8) / 1e3
        return self.state.copy()

    def step(self, action):
        print("printed while stepping")
        self.steps += 1
        if self.steps == self.at:
            self.fail()
        assert abs(action[0]) <= 1
        position, velocity = self.state
        velocity += 0.1 * float(action[0]) / self.mass
        self.state = np.array([position + 0.1 * velocity, velocity])
        reward = -float(self.state @ self.state) - 0.01 * float(action[0]) ** 2
        return self.seen(), reward, bool(abs(self.state[0]) > 2), False, {}

    def fail(self):
        if self.flag:
            flag = pathlib.Path(self.flag)
            if flag.exists():
                return
            flag.touch()
        if "die" in self.fault:
            os.kill(os.getpid(), signal.SIGKILL)
        if "hang" in self.fault:
            time.sleep(600)
        if "raise" in self.fault:
            raise RuntimeError("the motor is on fire")


class Choice(Mass):
    def __init__(self):
        super().__init__()
        self.action_space = gymnasium.spaces.Discrete(2)


class Boundless(Mass):
    def __init__(self):
        super().__init__()
        self.action_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)


gymnasium.register("Mass-v0", entry_point=Mass, max_episode_steps=30)
gymnasium.register("Endless-v0", entry_point=Mass)
gymnasium.register("Choice-v0", entry_point=Choice, max_episode_steps=30)
gymnasium.register("Boundless-v0", entry_point=Boundless, max_episode_steps=30)
