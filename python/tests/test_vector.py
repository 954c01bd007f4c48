"""Vectors: the three ways to go on after an end, seeds, threads, memory."""

import warnings

import costate
import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

N = 5
WORLD = costate.World("hopper", parameters={"horizon": 23})
STAGGER = np.array([False, True, False, True, True])
"""Which environments are reset anew after seven steps, so that not all episodes end at once."""


def actions(vector, steps, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (steps, *vector.action_space.shape)).astype(np.float32)


def vector(autoreset="next_step", **kwargs):
    return costate.make_vec(WORLD, N, autoreset, **kwargs)


@pytest.mark.parametrize("autoreset", ["next_step", "same_step"])
def test_environments_are_gymnasiums_own_vector_of_single_ones(autoreset):
    """Step by step the same as SyncVectorEnv of single environments with the same seeds, infos included."""
    ours = vector(autoreset)
    theirs = SyncVectorEnv([lambda: costate.make(WORLD)] * N, autoreset_mode=AutoresetMode(ours.autoreset_mode))
    first, _ = ours.reset(seed=11)
    expected, _ = theirs.reset(seed=[int(s) for s in ours.first_seeds])
    np.testing.assert_array_equal(first, expected)
    ends = 0
    for t, action in enumerate(actions(ours, 100)):
        if t == 7:
            found, expected = (v.reset(options={"reset_mask": STAGGER.copy()})[0] for v in (ours, theirs))
            np.testing.assert_array_equal(found, expected)
        found, expected = ours.step(action), theirs.step(action)
        for a, b in zip(found[:4], expected[:4], strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
        ended = found[2] | found[3]
        ends += ended.sum()
        assert not ended.all()
        assert set(found[4]) == set(expected[4])
        if "final_obs" in found[4]:
            np.testing.assert_array_equal(found[4]["_final_obs"], expected[4]["_final_obs"])
            for i in np.flatnonzero(ended):
                np.testing.assert_array_equal(found[4]["final_obs"][i], expected[4]["final_obs"][i])
            assert set(found[4]["final_info"]) == set(expected[4]["final_info"])
    assert ends >= 4 * N - 3


def test_disabled_leaves_the_reset_to_the_caller():
    ours = vector("disabled")
    singles = [costate.make(WORLD) for _ in range(N)]
    observations, _ = ours.reset(seed=4)
    for single, seed in zip(singles, ours.first_seeds, strict=True):
        single.reset(seed=int(seed))
    resets = 0
    for t, action in enumerate(actions(ours, 100)):
        if t == 7:
            ours.reset(options={"reset_mask": STAGGER})
            for i in np.flatnonzero(STAGGER):
                singles[i].reset()
        observations, rewards, terminations, truncations, _ = ours.step(action)
        for i, single in enumerate(singles):
            expected = single.step(action[i])
            np.testing.assert_array_equal(observations[i], expected[0])
            assert (rewards[i], terminations[i], truncations[i]) == expected[1:4]
        ended = terminations | truncations
        if ended.any():
            with pytest.raises(RuntimeError, match="has ended; reset"):
                ours.step(action)
            before = observations.copy()
            observations, _ = ours.reset(options={"reset_mask": ended})
            np.testing.assert_array_equal(observations[~ended], before[~ended])
            for i in np.flatnonzero(ended):
                np.testing.assert_array_equal(observations[i], singles[i].reset()[0])
            resets += 1
    assert resets > 3


def test_a_mask_with_seeds():
    ours = vector()
    ours.reset(seed=0)
    ours.step(actions(ours, 1)[0])
    mask = np.array([True, False, False, True, False])
    seeds = [7, 8, 9, 10, 11]
    observations, _ = ours.reset(seed=seeds, options={"reset_mask": mask})
    for i in np.flatnonzero(mask):
        np.testing.assert_array_equal(observations[i], costate.make(WORLD).reset(seed=seeds[i])[0])
        assert ours.episode_seeds[i] == ours.first_seeds[i] == seeds[i]


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_threads_change_nothing(threads):
    one, many = vector("same_step"), vector("same_step", threads=threads)
    np.testing.assert_array_equal(one.reset(seed=1)[0], many.reset(seed=1)[0])
    for action in actions(one, 60):
        for a, b in zip(one.step(action)[:4], many.step(action)[:4], strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.episode_seeds, many.episode_seeds)


def test_neighbouring_seeds_share_no_world():
    """Gymnasium's vectors give environment i seed s + i, so that seeds 0 and 1 share all but one."""
    seen = set()
    for seed in range(20):
        ours = vector()
        ours.reset(seed=seed)
        seen |= set(ours.first_seeds.tolist())
    assert len(seen) == 20 * N


def test_episodes_go_on_without_a_seed():
    a, b = vector(), vector()
    a.reset(seed=2)
    b.reset(seed=2)
    np.testing.assert_array_equal(a.reset()[0], b.reset()[0])
    assert not np.array_equal(a.episode_seeds, a.first_seeds)
    fresh = [vector().reset()[0] for _ in range(2)]
    assert not np.array_equal(*fresh)


def test_copies_by_default_and_views_on_request():
    ours = vector()
    first = ours.reset(seed=0)[0]
    kept, (action, *_) = first.copy(), actions(ours, 1)
    ours.step(action)
    np.testing.assert_array_equal(first, kept)
    view = vector(copy=False)
    first = view.reset(seed=0)[0]
    found = view.step(action)
    assert found[0] is first and not np.array_equal(first, kept)
    assert view.step(action)[1] is found[1]


@pytest.mark.parametrize("name", costate.names())
def test_made_by_gymnasium(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = gym.make_vec(f"costate/{name}-v0", num_envs=3, max_episode_steps=6, autoreset="disabled")
        assert ours.metadata["autoreset_mode"] is AutoresetMode.DISABLED
        observations, infos = ours.reset(seed=0)
        assert observations in ours.observation_space and infos == {}
        for step in range(1, 7):
            observations, _, terminations, truncations, _ = ours.step(0 * ours.action_space.sample())
            assert observations in ours.observation_space
            if terminations.any():
                break
            assert truncations.all() == (step == 6)
        ours.close()


def test_gymnasiums_wrappers_fit():
    from gymnasium.wrappers.vector import NormalizeObservation, RecordEpisodeStatistics

    ours = NormalizeObservation(RecordEpisodeStatistics(vector()))
    ours.reset(seed=0)
    infos = [ours.step(action)[4] for action in actions(ours, 120)]
    assert any("episode" in info for info in infos)


def test_pictures():
    ours = vector(render_mode="rgb_array", render_size=64)
    ours.reset(seed=0)
    assert len(ours.render()) == N and ours.render()[0].shape[2] == 3
    assert vector().render() is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: costate.make_vec(WORLD, 0), "num_envs"),
        (lambda: costate.make_vec(WORLD, 2, "sometimes"), "next_step, same_step or disabled"),
        (lambda: costate.make_vec(WORLD, 2, threads=0), "threads"),
        (lambda: vector().reset(seed=[1, 2]), "2 seeds given"),
        (lambda: vector().reset(seed=-1), "seed is -1"),
        (lambda: vector().reset(options={"reset_mask": [True] * N}), "reset_mask is list"),
        (lambda: vector().reset(options={"reset_mask": np.zeros(N, bool)}), "at least one"),
        (lambda: vector().reset(options={"reset_mask": np.ones(N, bool)}), "first reset"),
        (lambda: vector().reset(options={"mask": 1}), "unknown reset option"),
    ],
)
def test_requests_that_cannot_be_met(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_unfit_actions_step_nothing():
    a, b = vector(), vector()
    a.reset(seed=0)
    b.reset(seed=0)
    good, bad = actions(a, 2)
    bad[3, 0] = np.inf
    with pytest.raises(ValueError, match="finite"):
        a.step(bad)
    with pytest.raises(ValueError, match="shape"):
        a.step(good[:2])
    np.testing.assert_array_equal(a.step(good)[0], b.step(good)[0])
    with pytest.raises(RuntimeError, match="reset"):
        vector().step(good)
