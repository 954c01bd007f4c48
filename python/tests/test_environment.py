"""Single environments: Gymnasium's own checks, spaces, determinism, errors, pictures."""

import warnings

import costate
import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

NAMES = costate.names()


def test_there_are_worlds():
    assert len(NAMES) >= 17 and "cart_pole" in NAMES


UNITS = {"pendulum", "acrobot", "lq"}
"""Worlds with actions in units, whose bounds are other numbers than ±1: Gymnasium recommends to rescale those."""


@pytest.mark.parametrize("actions", ["unit", "units"])
@pytest.mark.parametrize("name", NAMES)
def test_gymnasium_has_no_objection(name, actions):
    env = gym.make(f"costate/{name}-v0", render_mode="rgb_array", actions=actions)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if name in UNITS and actions == "units":
            warnings.filterwarnings("ignore", ".*we recommend using a symmetric and normalized space")
        check_env(env.unwrapped)
    assert env.spec.max_episode_steps is None


@pytest.mark.parametrize("name", NAMES)
def test_spaces_and_ends_are_those_of_the_spec(name):
    env = costate.make(name)
    world = env.world
    np.testing.assert_array_equal(np.float32([c.low for c in world.observation]), env.observation_space.low)
    np.testing.assert_array_equal(np.float32([c.high for c in world.action]), env.action_space.high)
    env.reset(seed=3)
    env.action_space.seed(0)
    for step in range(1, world.horizon + 1):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert observation in env.observation_space and isinstance(reward, float)
        assert not (terminated and truncated)
        if terminated or truncated:
            break
        assert info == {}
    assert truncated == (step == world.horizon and not terminated)
    with pytest.raises(RuntimeError, match="has ended; reset"):
        env.step(np.zeros(env.action_space.shape))


def play(env, seed, steps=60):
    rng = np.random.default_rng(0)
    rows = [env.reset(seed=seed)[0]]
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(rng.uniform(-1, 1, env.action_space.shape))
        rows.append(np.append(observation, reward))
        if terminated or truncated:
            rows.append(env.reset()[0])
    return np.concatenate(rows)


def test_a_seed_determines_all_episodes_that_follow():
    env, other = costate.make("hopper"), costate.make("hopper")
    first = play(env, 5)
    np.testing.assert_array_equal(first, play(other, 5))
    np.testing.assert_array_equal(first, play(env, 5))
    assert not np.array_equal(first[:11], play(env, 6)[:11])


def test_the_seed_is_that_of_costates_own_episodes(demonstrations):
    recorded = costate.Dataset.open(demonstrations / "pendulum")
    env = costate.make(recorded.world)
    for episode in recorded[:3]:
        observation, _ = env.reset(seed=episode.seed)
        assert env.episode_seed == episode.seed
        for t, action in enumerate(episode.actions):
            np.testing.assert_array_equal(observation, episode.observations[t])
            observation, reward, _, truncated, _ = env.step(action)
            assert reward == episode.rewards[t]
        assert truncated == episode.truncated


def test_variants_parameters_and_models():
    world = costate.World("cart_pole")
    assert "long_pole" in world.variants
    changed = costate.World("cart_pole", variant="long_pole", parameters={"horizon": 7})
    assert changed.horizon == 7 and changed.parameters != world.parameters
    assert costate.World.from_config(changed.config).config == changed.config
    env = costate.make(changed)
    env.reset(seed=0)
    ends = [env.step([0.0])[3] for _ in range(7)]
    assert ends == [False] * 6 + [True]
    drawn = costate.World("cart_pole", parameters={"pole.length_m": (0.5, 1.5)})
    assert drawn.config["vary"]
    assert gym.make("costate/cart_pole-v0", parameters={"horizon": 9}).unwrapped.world.horizon == 9


def test_a_limit_of_steps():
    env = costate.make("pendulum", max_episode_steps=4)
    env.reset(seed=1)
    assert [env.step([0.0])[3] for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize("name", NAMES)
def test_unit_actions_are_the_bounds_of_commands(name):
    world = costate.World(name)
    units, unit = costate.make(world), costate.make(world, actions="unit")
    low, high = units.action_space.low, units.action_space.high
    assert (unit.action_space.low == -1).all() and (unit.action_space.high == 1).all()
    many = costate.make_vec(world, 2, actions="unit")
    assert many.single_action_space == unit.action_space
    first, _ = many.reset(seed=[3, 3])
    np.testing.assert_array_equal(units.reset(seed=3)[0], unit.reset(seed=3)[0])
    # The middle, both bounds, and the same distance beyond a bound.
    for action in (0.0, -1.0, 1.0, 1.5):
        command = ((low + high) / 2 + action * (high.astype(float) - low) / 2).astype(np.float32)
        expected = units.step(command)
        found = unit.step(np.full(low.shape, action, np.float32))
        np.testing.assert_array_equal(found[0], expected[0])
        assert found[1:4] == expected[1:4]
        rows = many.step(np.full((2, *low.shape), action, np.float32))
        np.testing.assert_array_equal(rows[0], [expected[0]] * 2)
        assert list(rows[1]) == [expected[1]] * 2


def test_coordinates_start_an_episode():
    env = costate.make("pendulum")
    env.reset(seed=1)
    env.step([1.0])
    there, observation = env.coordinates, env.reset(options={"coordinates": env.coordinates})[0]
    np.testing.assert_array_equal(env.coordinates, there)
    assert observation.shape == env.observation_space.shape
    with pytest.raises(ValueError, match="pendulum"):
        env.reset(options={"coordinates": [0.0]})


@pytest.mark.parametrize("name", NAMES)
def test_pictures_have_one_size(name):
    env = costate.make(name, render_mode="rgb_array", render_size=160)
    env.reset(seed=0)
    frames = []
    for _ in range(12):
        frames.append(env.render())
        if any(env.step(env.action_space.high)[2:4]):
            break
    assert {f.shape for f in frames} == {frames[0].shape} and max(frames[0].shape[:2]) == 160
    assert frames[0].dtype == np.uint8 and len(np.unique(frames[0].reshape(-1, 3), axis=0)) > 3
    assert any(not np.array_equal(frames[0], f) for f in frames[1:])
    assert costate.make(name).render() is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"env": "cart_pol"}, "did you mean `cart_pole`"),
        ({"env": "cart_pole", "variant": "long_pol"}, "did you mean `long_pole`"),
        ({"env": "cart_pole", "parameters": {"pole.lenght_m": 1}}, "did you mean"),
        ({"env": "cart_pole", "parameters": {"dt_s": "fast"}}, "dt_s"),
        ({"env": "cart_pole", "parameters": {"dt_s": float("nan")}}, "dt_s"),
        ({"env": "cart_pole", "parameters": {"dt_s": -1.0}}, "cart_pole"),
        ({"env": "cart_pole", "render_mode": "human"}, "rgb_array"),
        ({"env": "cart_pole", "max_episode_steps": 0}, "max_episode_steps"),
        ({"env": "cart_pole", "actions": "normalized"}, "expected 'units' or 'unit'"),
        ({"env": "table"}, "without a simulator"),
    ],
)
def test_requests_that_cannot_be_met(arguments, message):
    with pytest.raises(ValueError, match=message):
        costate.make(**arguments)


def test_actions_that_cannot_be_taken():
    env = costate.make("cart_pole")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="shape"):
        env.step([0.0, 0.0])
    with pytest.raises(ValueError, match="finite"):
        env.step([float("nan")])
    env.step([0.0])
    with pytest.raises(ValueError, match="unknown reset option"):
        env.reset(options={"speed": 1})
    with pytest.raises(ValueError, match="the size is"):
        costate.make("cart_pole", render_mode="rgb_array", render_size=5).render()
