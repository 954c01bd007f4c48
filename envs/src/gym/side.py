"""The Python side of a `gym:` world: one Gymnasium environment, driven by Costate over a socket on file descriptor 0.

A message is one byte and its arguments, an answer one byte and its content; numbers are little-endian.

    D                        describe: JSON
    R seed                   reset: record
    S action                 step: record
    L seed count actions     load, by playing these again from the start or from a kept state: the last record

seed: u64; count: u32; action: float32 each; record: observation, float32 each, reward, float64, terminated and truncated,
u8 each. An answer begins with 0, or with 1 for an exception (its traceback follows) or 2 for a request that cannot be met
(why), then the length of what follows: u32.
"""

import os
import sys

# Whatever an environment prints or reads is kept apart from the messages.
SOCKET = os.dup(0)
null = os.open(os.devnull, os.O_RDONLY)
os.dup2(null, 0)
os.close(null)
os.dup2(2, 1)

import copy
import difflib
import importlib
import json
import platform
import struct
import traceback

HEAD = struct.Struct("<BI")
RECORD_END = struct.Struct("<dBB")
# Largest finite float32: how an infinite bound is written.
UNBOUNDED = 3.4028234663852886e38
# More values than this are pictures, not states.
MOST_VALUES = 4096


class Refusal(Exception):
    """A request that cannot be met, and why."""


def send(kind, content):
    data = memoryview(HEAD.pack(kind, len(content)) + content)
    while data:
        data = data[os.write(SOCKET, data) :]


def more(data, length):
    """`data`, and what follows it up to `length` bytes."""
    while len(data) < length:
        new = os.read(SOCKET, 1 << 20)
        if not new:
            # Costate has ended.
            os._exit(0)
        data += new
    return data


def imported():
    try:
        import numpy
        import gymnasium
    except ImportError as error:
        raise Refusal(
            f"{sys.executable} cannot import {error.name}: install it there, `pip install gymnasium`, or name another "
            "Python with COSTATE_PYTHON"
        ) from None
    return numpy, gymnasium


class Side:
    def __init__(self, asked):
        self.np, gymnasium = imported()
        self.env = self.make(gymnasium, asked)
        self.observation = self.space("observation", self.env.observation_space, gymnasium)
        self.action = self.space("action", self.env.action_space, gymnasium)
        if self.action.dtype.kind != "f":
            raise Refusal(f"its actions are {self.action.dtype}, expected floating-point numbers")
        self.values = int(self.np.prod(self.observation.shape))
        self.width = 4 * int(self.np.prod(self.action.shape))
        self.state = Kept(self.env)
        self.limit = self.env.spec.max_episode_steps
        # Costate counts the steps: a state may be given another time.
        for layer in self.state.layers:
            if isinstance(layer, gymnasium.wrappers.TimeLimit):
                layer._max_episode_steps = sys.maxsize

    def make(self, gymnasium, asked):
        if asked["module"]:
            try:
                importlib.import_module(asked["module"])
            except ModuleNotFoundError as error:
                raise Refusal(
                    f"{sys.executable} cannot import {error.name}: install it there, or put its folder on PYTHONPATH"
                ) from None
        try:
            return gymnasium.make(asked["id"], disable_env_checker=True, **asked["kwargs"])
        except gymnasium.error.DependencyNotInstalled as error:
            raise Refusal(f"{error} (for {sys.executable})") from None
        except (gymnasium.error.Error, ModuleNotFoundError) as error:
            near = difflib.get_close_matches(asked["id"], list(gymnasium.registry), 1, 0.7)
            unknown = asked["id"] not in gymnasium.registry and "Did you mean" not in str(error)
            hint = f" Did you mean: `{near[0]}`?" if near and unknown else ""
            raise Refusal(f"{error}{hint}") from None

    def space(self, what, space, gymnasium):
        if not isinstance(space, gymnasium.spaces.Box):
            raise Refusal(
                f"its {what} space is {space}, expected a Box; register a version of it in a wrapper (gymnasium.wrappers) "
                "and name that"
            )
        if not 0 < self.np.prod(space.shape) <= MOST_VALUES:
            raise Refusal(f"its {what} space has the shape {space.shape}, expected 1 to {MOST_VALUES} values")
        return space

    def describe(self):
        def bounds(space):
            ends = (space.low, space.high)
            low, high = (self.np.clip(end.reshape(-1).astype(float), -UNBOUNDED, UNBOUNDED) for end in ends)
            return {"low": low.tolist(), "high": high.tolist(), "dtype": str(space.dtype)}

        base = self.env.unwrapped
        period = getattr(base, "dt", None)
        fps = base.metadata.get("render_fps")
        if not isinstance(period, (int, float)) and isinstance(fps, (int, float)) and fps > 0:
            period = 1 / fps
        versions = {"python": platform.python_version()}
        for name in ("numpy", "gymnasium", "mujoco"):
            if name in sys.modules:
                versions[name] = str(getattr(sys.modules[name], "__version__", "unknown"))
        found = {
            "horizon": self.limit,
            "control_period_s": float(period) if isinstance(period, (int, float)) else None,
            "observation": bounds(self.observation),
            "action": bounds(self.action),
            "versions": versions,
        }
        return json.dumps(found).encode()

    def record(self, observation, reward=0.0, terminated=False, truncated=False):
        values = self.np.asarray(observation, dtype="<f4")
        if values.size != self.values:
            raise ValueError(f"the observation has the shape {values.shape}, its space {self.observation.shape}")
        return values.tobytes() + RECORD_END.pack(float(reward), bool(terminated), bool(truncated))

    def reset(self, seed):
        return self.record(self.env.reset(seed=seed)[0])

    def step(self, data):
        action = self.np.frombuffer(data, "<f4").astype(self.action.dtype).reshape(self.action.shape)
        return self.record(*self.env.step(action)[:4])

    def answer(self, message):
        order = message[:1]
        if order == b"S":
            return self.step(more(message, 1 + self.width)[1:])
        if order == b"D":
            return self.describe()
        message = more(message, 9)
        seed = struct.unpack_from("<Q", message, 1)[0]
        if order == b"R":
            return self.reset(seed)
        message = more(message, 13)
        count = struct.unpack_from("<I", message, 9)[0]
        actions = more(message, 13 + count * self.width)[13:]
        return self.load(seed, actions)

    def cut(self, actions):
        return (actions[i : i + self.width] for i in range(0, len(actions), self.width))

    def load(self, seed, actions):
        begun = self.state.restore(seed, actions)
        last, known = (self.reset(seed), b"") if begun is None else begun
        for action in self.cut(actions[len(known) :]):
            last = self.step(action)
        if (known != actions or begun is None) and not self.state.keep(seed, actions, last):
            self.reset(seed)
            for action in self.cut(actions):
                last = self.step(action)
        return last


class Kept:
    """The state loaded last: planners load the same one, or the next, over and over.

    Of MuJoCo's environments the whole mjData is kept: its state vectors, mjSTATE_INTEGRATION too, lack the quantities
    derived in the last step, from which Ant and Humanoid compute rewards. Of others everything that can be copied is.
    What turns out not to come back exactly is reached by playing the actions again.
    """

    # What a layer of wrappers has besides its state.
    SHARED = ("env", "spec", "model", "data", "mujoco_renderer", "metadata", "action_space", "observation_space")

    def __init__(self, env):
        self.layers = [env]
        while self.layers[-1] is not env.unwrapped:
            self.layers.append(self.layers[-1].env)
        base = env.unwrapped
        mujoco = sys.modules.get("mujoco")
        own = mujoco and isinstance(getattr(base, "data", None), mujoco.MjData)
        self.mujoco = mujoco if own else None
        self.able, self.proven = True, False
        self.key = self.last = self.data = self.attributes = None

    def restore(self, seed, actions):
        """The last record and the actions up to it, if the kept state is on the way."""
        if not self.able or self.key is None or self.key[0] != seed or not actions.startswith(self.key[1]):
            return None
        self.put_back()
        return self.last, self.key[1]

    def put_back(self):
        if self.mujoco:
            base = self.layers[-1]
            self.mujoco.mj_copyData(base.data, base.model, self.data)
        for layer, kept in zip(self.layers, copy.deepcopy(self.attributes)):
            vars(layer).update(kept)

    def keep(self, seed, actions, last):
        """Keeps the present state, unless it is final. False: trying it has spoilt the present state."""
        if not self.able or any(last[-2:]):
            return True
        try:
            self.take()
        except Exception:
            self.able = False
            return True
        self.key, self.last = (seed, actions), last
        if not self.proven:
            self.proven = self.able = self.prove()
        return self.able

    def take(self):
        if self.mujoco:
            base = self.layers[-1]
            self.data = self.data or self.mujoco.MjData(base.model)
            self.mujoco.mj_copyData(self.data, base.model, base.data)
        shared = {*self.SHARED, *(f"_{name}" for name in self.SHARED)}
        own = [{k: v for k, v in vars(layer).items() if k not in shared} for layer in self.layers]
        self.attributes = copy.deepcopy(own)

    def prove(self):
        """Whether the same step from the kept state, twice, is the same."""
        env = self.layers[0]
        space = env.action_space
        action = ((space.low.astype(float) + space.high.astype(float)) / 2).astype(space.dtype)
        seen = []
        try:
            for _ in range(2):
                observation, reward, *ends = env.step(action)[:4]
                seen.append((observation.tobytes(), float(reward), ends))
                self.put_back()
        except Exception:
            return False
        return seen[0] == seen[1]


def main():
    side = None
    message = b""
    while True:
        message = more(message, 1)
        try:
            if side is None:
                side = Side(json.loads(sys.argv[1]))
            answer = side.answer(message)
            send(0, answer)
        except Refusal as refusal:
            send(2, str(refusal).encode())
        except BaseException:
            send(1, traceback.format_exc().encode())
        message = b""


main()
