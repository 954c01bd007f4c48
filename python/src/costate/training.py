"""Training by the command line `costate`, which has libtorch; this package has not."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from .costs import Cost
from .data import Dataset
from .policies import Policy

Progress = Callable[[dict[str, Any]], None]

POLL_S = 0.2
"""Seconds between two looks at a run's metrics."""


class Run:
    """A run folder: what was learned, and how."""

    def __init__(self, path: str | os.PathLike[str], command: str | None = None) -> None:
        self.path = Path(path)
        """The folder."""
        self._command = command
        if not (self.path / "config.json").is_file():
            raise ValueError(f"`{self.path}` is not a run folder: it has no config.json")

    @property
    def config(self) -> dict[str, Any]:
        """`config.json`: every resolved value."""
        return json.loads((self.path / "config.json").read_text())

    @property
    def metrics(self) -> dict[str, npt.NDArray[np.float64]]:
        """What was reported of each iteration, by name, `[iterations]`; NaN where an iteration has no such figure."""
        lines = list(_lines(self.path / "metrics.jsonl"))
        names = {name: None for line in lines for name in line}
        value = lambda line, name: line.get(name) if isinstance(line.get(name), (int, float)) else np.nan  # noqa: E731
        return {name: np.array([value(line, name) for line in lines], float) for name in names}

    def policy(self) -> Policy:
        """The learned policy."""
        return Policy(self.path)

    def cost(self) -> Cost:
        """The learned cost. Raises ValueError if the algorithm learns none."""
        return Cost(self.path)

    def evaluate(
        self, episodes: int = 100, seed: int = 1000, *, deterministic: bool = False, arguments: Sequence[str] = ()
    ) -> dict[str, Any]:
        """What `costate evaluate --json` says of the run, without the scores under noise and in variants.

        Args:
            episodes: Of each policy.
            seed: Of the start states.
            deterministic: Act by the policy's mean.
            arguments: Further ones of the command line.
        """
        command = ["evaluate", str(self.path), "--no-robustness", "--episodes", str(episodes), "--seed", str(seed)]
        command += ["--deterministic"] * deterministic
        return _run(find(self._command), [*command, *arguments], None)

    def __repr__(self) -> str:
        return f"<costate run {str(self.path)!r}>"


def train(
    dataset: Dataset | str | os.PathLike[str] | None,
    algo: str | None = None,
    settings: Mapping[str, Any] | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    workers: int | None = None,
    resume: bool = False,
    progress: bool | Progress = True,
    arguments: Sequence[str] = (),
    command: str | None = None,
) -> Run:
    """Trains by the command line `costate train`, in a process of its own, and waits for it.

    Ctrl-C (in a notebook: interrupt) stops it after its current iteration and raises KeyboardInterrupt;
    `train(None, output=…, resume=True)` goes on from there, to the same bits as without the interruption.

    Args:
        dataset: Demonstrations; None with `resume`, or for `rl` without any.
        algo: As `costate train --help` lists them; None with `resume` only.
        settings: Settings that differ from the defaults, by key, e.g. `{"ppo.clip": 0.1}`.
        output: Run folder to create, or to resume; None: `runs/ENV-ALGO-SEED`.
        seed: Seed of every random stream.
        workers: Threads; None: one per core.
        resume: Go on with the run in `output`.
        progress: Whether to show iterations on standard error or in the notebook; or a function that is called with
            the metrics of each iteration.
        arguments: Further ones of the command line, e.g. `["--variant", "long_pole"]`.
        command: The program; None: that of the variable COSTATE_BIN, or `costate` on the PATH.

    Raises:
        ValueError: What the command line calls misuse: an unknown algorithm or setting, an output that exists.
        RuntimeError: A failure, or no command line found.
    """
    program = find(command)
    chosen: list[str] = ["train"]
    if dataset is not None:
        chosen.append(str(dataset.path if isinstance(dataset, Dataset) else os.fspath(dataset)))
    if algo is not None:
        chosen += ["--algo", algo]
    if output is None:
        if resume or dataset is None or algo is None:
            raise ValueError("give the run folder as `output`: without a dataset and an algorithm it has no default")
        opened = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
        output = Path("runs") / f"{opened.env}-{algo}-{seed}"
    run = Path(output)
    chosen += ["--resume", "-o", str(run)] if resume else ["--seed", str(seed), "-o", str(run)]
    if workers is not None:
        chosen += ["--workers", str(workers)]
    for key, value in (settings or {}).items():
        chosen += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    with _shown(progress) as show:
        _run(program, [*chosen, *arguments], None if show is None else _Follower(run, show))
    return Run(run, program)


def find(command: str | None = None) -> str:
    """The command line's program. Raises RuntimeError if there is none."""
    wanted = command or os.environ.get("COSTATE_BIN") or "costate"
    found = shutil.which(wanted)
    if found is None:
        raise RuntimeError(
            f"the command line `{wanted}` was not found; build it in Costate's repository with `cargo xtask setup` and "
            "`cargo build --release`, then put target/release on the PATH, or name the program by COSTATE_BIN"
        )
    return found


class _Follower:
    """Hands on the metrics of a run as they are written."""

    def __init__(self, run: Path, show: Progress) -> None:
        self._file, self._show = run / "metrics.jsonl", show
        self._place, self._seen = None, 0
        self._last = max((line.get("iteration", -1) for line in _lines(self._file)), default=-1)

    def look(self) -> None:
        if not self._file.exists():
            return
        # A resumed run replaces the file by what its checkpoint knows of.
        if (place := self._file.stat().st_ino) != self._place:
            self._place, self._seen = place, 0
        for line, end in _complete(self._file, self._seen):
            self._seen = end
            if (iteration := line.get("iteration", 0)) > self._last:
                self._last = iteration
                self._show(line)


def _run(program: str, arguments: Sequence[str], follower: _Follower | None) -> dict[str, Any]:
    """Runs the command line to its end; what it prints as JSON."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        # A session of its own: Ctrl-C reaches it once, from here, as a second signal would end it at once.
        process = subprocess.Popen(
            [program, *arguments, "--json", "--quiet"],
            stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
        )  # fmt: skip
        try:
            while process.poll() is None:
                if follower is not None:
                    follower.look()
                time.sleep(POLL_S)
        except BaseException:
            # Stops after its current iteration; a second Ctrl-C does not wait for that.
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait()
                except KeyboardInterrupt:
                    process.kill()
                    process.wait()
            raise
        if follower is not None:
            follower.look()
        if process.returncode != 0:
            message = _text(err).strip() or f"it ended with exit code {process.returncode}"
            error = ValueError if process.returncode == 2 else RuntimeError
            raise error(f"costate {arguments[0]}: " + message.removeprefix("costate: "))
        try:
            return json.loads(_text(out))
        except ValueError:
            raise RuntimeError(f"costate {arguments[0]} printed no JSON; is {program} of this version?") from None


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _complete(file: Path, start: int) -> Iterator[tuple[dict[str, Any], int]]:
    """The complete lines of a metrics file from a byte on, each with the byte after it."""
    with file.open("rb") as f:
        f.seek(start)
        for line in f:
            if not line.endswith(b"\n"):
                return
            start += len(line)
            yield json.loads(line), start


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    return (line for line, _ in _complete(file, 0)) if file.exists() else iter(())


@contextlib.contextmanager
def _shown(progress: bool | Progress) -> Iterator[Progress | None]:
    """What shows an iteration's metrics: a line that is overwritten, in a notebook or a terminal."""
    if callable(progress):
        yield progress
    elif not progress:
        yield None
    elif (handle := _notebook()) is not None:
        yield lambda line: handle.update({"text/plain": _describe(line)}, raw=True)
    elif sys.stderr.isatty():
        yield lambda line: print(f"\r\x1b[K{_describe(line)}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    else:
        yield None


def _notebook() -> Any:
    """A place of the notebook's output that can be written over; None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    return display({"text/plain": "training …"}, raw=True, display_id=True)


def _describe(line: dict[str, Any]) -> str:
    figures = [f"{name} {value:.4g}" for name, value in line.items() if isinstance(value, float)]
    return f"iteration {int(line.get('iteration', 0)) + 1}: " + ", ".join(figures[:4])
