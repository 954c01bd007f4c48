"""Policies, costs, rollouts: against figures of the command line, and against each other."""

import csv
import shutil

import costate
import numpy as np
import pytest


@pytest.fixture(scope="module")
def examples():
    from conftest import RUN

    with (RUN / "examples.csv").open() as file:
        names, *rows = csv.reader(file)
    columns = np.array(rows, float).T
    find = lambda prefix: columns[[i for i, name in enumerate(names) if name.startswith(prefix)]].T  # noqa: E731
    return {name: find(name) for name in ("observation.", "action.", "policy.", "cost", "value")}, names


def column(examples, name):
    groups, names = examples
    return groups["policy."][:, [n for n in names if n.startswith("policy.")].index(name)]


def test_the_policy_is_costates_own(run, examples):
    policy = costate.load_policy(run)
    assert (policy.env, policy.kind, policy.observation_dim, policy.action_dim) == ("pendulum", "gaussian", 3, 1)
    observations, actions = (examples[0][name].astype(np.float32) for name in ("observation.", "action."))
    mean = column(examples, "policy.mean.torque").astype(np.float32)
    np.testing.assert_array_equal(policy.mean(observations)[:, 0], mean)
    std = column(examples, "policy.std.torque")
    np.testing.assert_allclose(policy.std(observations)[:, 0], std, rtol=1e-6)
    density = column(examples, "policy.log_density")
    np.testing.assert_allclose(policy.log_density(observations, actions), density, rtol=1e-6, atol=1e-6)
    one = policy.mean(observations[0])
    assert one.shape == (1,) and one == policy.mean(observations[:1])[0]
    assert isinstance(float(policy.log_density(observations[0], actions[0])), float)


def test_samples_have_the_policys_distribution(run):
    policy = costate.load_policy(run / "policy.safetensors")
    observation = np.array([0.9, 0.1, -0.5], np.float32)
    draws = policy.sample(np.tile(observation, (20_000, 1)), seed=3)
    np.testing.assert_array_equal(draws, policy.sample(np.tile(observation, (20_000, 1)), seed=3))
    std = policy.std(observation)[0]
    assert abs(draws.mean() - policy.mean(observation)[0]) < 5 * std / np.sqrt(len(draws))
    assert abs(draws.std() / std - 1) < 0.02


def test_the_cost_is_costates_own(run, examples):
    cost = costate.load_cost(run)
    groups = examples[0]
    found = cost(groups["observation."], groups["action."])
    np.testing.assert_allclose(found, groups["cost"][:, 0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(cost.value(groups["observation."]), groups["value"][:, 0], rtol=1e-5, atol=1e-5)
    now, then, action = groups["observation."][0], groups["observation."][1], groups["action."][0]
    shaped = cost(now, action, then)
    assert shaped == pytest.approx(cost(now, action) - cost.value(then) + cost.value(now))
    assert cost.env == "pendulum" and cost.has_value and cost.discount == 1


def test_rollouts_do_not_depend_on_workers(run):
    policy = costate.load_policy(run)
    one, two = (costate.rollout("pendulum", policy, 6, seed=9, workers=n) for n in (1, 2))
    for a, b in zip(one, two, strict=True):
        assert (a.seed, a.terminated, a.truncated, a.success) == (b.seed, b.terminated, b.truncated, b.success)
        for name in ("observations", "actions", "rewards", "log_densities"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert len({e.seed for e in one}) == 6


def test_a_rollout_is_the_policy_in_the_environment(run):
    policy = costate.load_policy(run)
    episode = costate.rollout("pendulum", run, 1, seed=4)[0]
    assert episode.observations.shape == (len(episode) + 1, 3) and episode.actions.shape == (len(episode), 1)
    np.testing.assert_array_equal(policy.sample(episode.observations[:-1], episode.seed), episode.actions)
    densities = policy.log_density(episode.observations[:-1], episode.actions)
    np.testing.assert_array_equal(densities, episode.log_densities)
    env = costate.make("pendulum")
    np.testing.assert_array_equal(env.reset(seed=episode.seed)[0], episode.observations[0])
    for t, action in enumerate(episode.actions):
        observation, reward, *_ = env.step(action)
        np.testing.assert_array_equal(observation, episode.observations[t + 1])
        assert reward == episode.rewards[t]
    mean = costate.rollout("pendulum", policy, 1, seed=4, deterministic=True)[0]
    assert mean.log_densities is None
    np.testing.assert_array_equal(policy.mean(mean.observations[:-1]), mean.actions)


def test_episodes_move(run, tmp_path):
    episode = costate.rollout("pendulum", run, 1, deterministic=True)[0]
    gif = costate.animate("pendulum", episode, size=96)
    assert gif[:6] == b"GIF89a" and gif.save(tmp_path / "a.gif").read_bytes() == gif
    assert gif._repr_mimebundle_()["image/gif"] == gif
    with pytest.raises(ValueError, match="speed"):
        costate.animate("pendulum", episode, speed=0)


def test_what_does_not_fit(run, tmp_path):
    policy, cost = costate.load_policy(run), costate.load_cost(run)
    with pytest.raises(ValueError, match="observations have 2 entries, expected 3"):
        policy.mean(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="4 observations with 5 actions"):
        policy.log_density(np.zeros((4, 3)), np.zeros((5, 1)))
    with pytest.raises(ValueError, match="expected"):
        policy.mean(np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match="have an energy"):
        policy.energy(np.zeros(3), np.zeros(1))
    with pytest.raises(ValueError, match="4 observations with 5 actions"):
        cost(np.zeros((4, 3)), np.zeros((5, 1)))
    with pytest.raises(ValueError, match="actions have 2 entries"):
        cost(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="maps 3 observations to 1 actions, but hopper"):
        costate.rollout("hopper", policy, 1)
    with pytest.raises(ValueError, match=r"nothing.*policy.safetensors|nothing"):
        costate.load_policy(tmp_path / "nothing")
    with pytest.raises(ValueError, match="bc, ibc, flow-bc and dagger"):
        costate.load_cost(tmp_path)
    with pytest.raises(ValueError, match="kind `gaussian_policy`"):
        costate.load_cost(run / "policy.safetensors")
    with pytest.raises(ValueError, match="kind `energy_model`"):
        costate.load_policy(run / "cost.safetensors")


@pytest.mark.parametrize("name", ["policy", "cost"])
def test_damaged_files(run, tmp_path, name):
    file = tmp_path / f"{name}.safetensors"
    shutil.copy(run / file.name, file)
    load = getattr(costate, f"load_{name}")
    load(file)
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match="checksum"):
        load(file)
    for content in (b"", b"\x08\0\0\0\0\0\0\0{}", data[:100], b"\xff" * 64):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=file.name):
            load(file)
