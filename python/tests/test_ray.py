"""What `costate.ray` does without Ray; `neighbours/ray_check.py` runs the rest on it."""

import importlib.util
import io
import subprocess
import sys

import pytest
from costate import ray


def test_frames_are_read_or_refused():
    stream = io.BytesIO()
    ray._write(stream, ord("J"), b"12345")
    ray._write(stream, ord("W"), b"")
    whole = stream.getvalue()
    read = io.BytesIO(whole)
    assert [ray._read(read) for _ in range(3)] == [(ord("J"), b"12345"), (ord("W"), b""), None]
    for end in (1, 5, 9):
        with pytest.raises(ValueError, match="ended within a frame"):
            ray._read(io.BytesIO(whole[:end]))
    with pytest.raises(ValueError, match="a frame of 1651663207 bytes"):
        ray._read(io.BytesIO(b"garbage in"))


def test_trials_have_runs_of_their_own(tmp_path):
    settings = {"policy.hidden": [[8], [8, 8]], "iterations": 5}
    trials = ray._trials(["a/pendulum", "hopper"], ["bc", "airl"], settings, range(3), [], tmp_path)
    assert len({trial["run"] for trial in trials}) == len(trials) == 24
    assert trials[0]["settings"] == {"policy.hidden": [8], "iterations": 5}
    assert trials == ray._trials(["a/pendulum", "hopper"], ["bc", "airl"], settings, range(3), [], tmp_path)
    # Other settings are never taken for those of an earlier call.
    for other, more in (({**settings, "iterations": 6}, []), (settings, ["-n", "5"])):
        changed = ray._trials(["a/pendulum", "hopper"], ["bc", "airl"], other, range(3), more, tmp_path)
        assert not {trial["run"] for trial in trials} & {trial["run"] for trial in changed}
    with pytest.raises(ValueError, match="same folder name"):
        ray._trials(["a/pendulum", "b/pendulum"], "bc", {}, [0], [], tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_it_says_what_to_install():
    command = [sys.executable, "-m", "costate.ray", "--actors", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "pip install costate[ray]" in done.stderr
