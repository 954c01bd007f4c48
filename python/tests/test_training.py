"""Driving the command line: by a stand-in that says what it was asked, and by `COSTATE_BIN`, if that is set."""

import json
import os
import signal
import stat
import sys
import threading
import time

import costate
import numpy as np
import pytest

STAND_IN = """#!{python}
import json, os, pathlib, signal, sys, time
arguments = sys.argv[1:]
if "--set" in arguments and "fail=2" in arguments:
    print("costate: unknown setting `fail`", file=sys.stderr); sys.exit(2)
if "fail=1" in arguments:
    print("costate: the disk is full", file=sys.stderr); sys.exit(1)
stopped = []
signal.signal(signal.SIGINT, lambda *_: stopped.append(1))
if arguments[0] == "train":
    run = pathlib.Path(arguments[arguments.index("-o") + 1])
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.json").write_text(json.dumps({{"arguments": arguments}}))
    with (run / "metrics.jsonl").open("a") as file:
        for i in range(200 if "slow=true" in arguments else 3):
            file.write(json.dumps({{"iteration": i, "return": -10.0 + i, **({{"extra": 1.5}} if i else {{}})}}) + "\\n")
            file.flush()
            time.sleep(0.05)
            if stopped:
                (run / "stopped").write_text(str(len(stopped))); sys.exit(1)
print(json.dumps({{"arguments": arguments}}))
"""


@pytest.fixture
def command(tmp_path):
    file = tmp_path / "costate"
    file.write_text(STAND_IN.format(python=sys.executable))
    file.chmod(file.stat().st_mode | stat.S_IEXEC)
    return str(file)


def test_arguments_progress_and_metrics(command, demonstrations, tmp_path, monkeypatch):
    monkeypatch.setenv("COSTATE_BIN", command)
    seen = []
    run = costate.train(
        costate.Dataset.open(demonstrations / "pendulum"), "airl", {"ppo.clip": 0.1, "policy.hidden": [8, 8]},
        tmp_path / "run", seed=3, workers=1, progress=seen.append,
    )  # fmt: skip
    asked = run.config["arguments"]
    assert asked[:4] == ["train", str(demonstrations / "pendulum"), "--algo", "airl"]
    for pair in (["--set", "ppo.clip=0.1"], ["--set", "policy.hidden=[8, 8]"], ["--seed", "3"], ["--workers", "1"]):
        assert asked[asked.index(pair[1]) - 1 : asked.index(pair[1]) + 1] == pair
    assert [line["iteration"] for line in seen] == [0, 1, 2]
    np.testing.assert_array_equal(run.metrics["return"], [-10, -9, -8])
    np.testing.assert_array_equal(run.metrics["extra"], [np.nan, 1.5, 1.5])
    assert "--episodes" in run.evaluate(episodes=7)["arguments"]
    again = costate.train(None, output=run.path, resume=True, progress=False)
    assert "--resume" in again.config["arguments"] and len(again.metrics["return"]) == 6


def test_the_default_folder(command, demonstrations, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = costate.train(demonstrations / "pendulum", "bc", seed=2, command=command)
    assert run.path.as_posix() == "runs/pendulum-bc-2"
    with pytest.raises(ValueError, match="output"):
        costate.train(None, resume=True, command=command)


def test_errors_are_the_command_lines(command, tmp_path):
    for code, kind, message in ((2, ValueError, "costate train: unknown setting"), (1, RuntimeError, "disk is full")):
        with pytest.raises(kind, match=message):
            costate.train("x", "bc", {"fail": code}, tmp_path / "run", command=command)
    with pytest.raises(RuntimeError, match="was not found; build it"):
        costate.train("x", "bc", output=tmp_path / "run", command=str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="not a run folder"):
        costate.Run(tmp_path / "nothing")


@pytest.fixture
def interruptible():
    """Background jobs of a shell, as some CI runs them, start with the interrupt ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_stops_the_command_line_once(command, tmp_path, interruptible):
    threading.Timer(0.8, os.kill, (os.getpid(), signal.SIGINT)).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        costate.train("x", "bc", {"slow": True}, tmp_path / "run", command=command)
    assert time.monotonic() - begun < 8
    assert (tmp_path / "run/stopped").read_text() == "1"


@pytest.mark.skipif("COSTATE_BIN" not in os.environ, reason="COSTATE_BIN names no command line")
def test_the_command_line_itself(demonstrations, tmp_path):
    seen = []
    run = costate.train(
        demonstrations / "pendulum", "bc", {"iterations": 2}, tmp_path / "run", progress=seen.append,
        arguments=["-n", "5"],
    )  # fmt: skip
    assert seen and len(next(iter(run.metrics.values()))) == len(seen)
    result = run.evaluate(4, seed=5)
    played = costate.rollout("pendulum", run.policy(), 4, seed=5)
    assert [e.total_reward for e in played] == pytest.approx(result["rows"][-1]["returns"], rel=1e-12)
    with pytest.raises(ValueError, match="exists"):
        costate.train(demonstrations / "pendulum", "bc", output=run.path)
    with pytest.raises(ValueError, match="did you mean"):
        costate.train(demonstrations / "pendulum", "bcc", output=tmp_path / "other")


def test_metrics_that_a_resumed_run_rewinds_are_shown_once(tmp_path):
    file, shown = tmp_path / "metrics.jsonl", []
    line = lambda i, more="": json.dumps({"iteration": i, "return": 1.0, "more": more}) + "\n"  # noqa: E731
    file.write_text("".join(line(i, "x" * 9) for i in range(4)))
    follower = costate.training._Follower(tmp_path, shown.append)
    follower.look()
    new = tmp_path / "new"
    new.write_text("".join(line(i) for i in range(2)))
    new.replace(file)
    for i in range(2, 6):
        with file.open("a") as f:
            f.write(line(i))
        follower.look()
    assert [seen["iteration"] for seen in shown] == [4, 5]
