"""Costate on a cluster of Ray: rollouts by actors, sweeps by Tune, benchmarks by tasks.

    costate train demos --algo gan-gcl --rollouts "python -m costate.ray --actors 8"
    python -m costate.ray bench results --envs pendulum,hopper -o results

`sweep` trains seeds, settings and datasets. Ray is not a dependency of this package: `pip install costate[ray]`. What runs
on the nodes is the command line `costate`: the program that COSTATE_BIN names there, or `costate` on the PATH, of the same
build everywhere.
"""

from __future__ import annotations

import argparse
import collections
import csv
import hashlib
import itertools
import json
import os
import queue
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

HEAD = "<IB"
"""Before every frame: the length of what follows, and its kind. `envs/src/remote/wire.rs` says what they hold."""
JOB = 24
"""Bytes of a job."""
MOST = 1 << 28
"""Most bytes of a frame."""
IN_FLIGHT = 2
"""Chunks of jobs that an actor holds, so that it need not wait for the next one."""
LOSSES = 3
"""How often each actor may be lost within a batch."""
LOCAL_STORE = 200_000_000
"""Bytes of the object store of a Ray that is started for this: policies are small."""

FILTERS = {"envs": "env", "methods": "method", "demonstrations": "demonstrations", "seeds": "seed"}
"""Options of `costate bench` that choose cells, and what `--list` calls a cell's value of each."""

TIED = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Runs a program that Linux sends SIGTERM once its parent, a process of Ray, has ended."""

Frame = tuple[int, bytes]


# Rollouts -------------------------------------------------------------------------------------------------------------


def _read(stream: IO[bytes]) -> Frame | None:
    """The next frame; None where the stream ends."""
    head = stream.read(struct.calcsize(HEAD))
    if not head:
        return None
    if len(head) < struct.calcsize(HEAD):
        raise ValueError("the stream ended within a frame")
    length, kind = struct.unpack(HEAD, head)
    if not 0 < length <= MOST:
        raise ValueError(f"a frame of {length} bytes, expected 1 to {MOST}")
    content = stream.read(length - 1)
    if len(content) < length - 1:
        raise ValueError("the stream ended within a frame")
    return kind, content


def _write(stream: IO[bytes], kind: int, content: bytes) -> None:
    stream.write(struct.pack(HEAD, len(content) + 1, kind) + content)
    stream.flush()


def _program(command: str | None) -> str:
    """The command line on this machine."""
    wanted = command or os.environ.get("COSTATE_BIN") or "costate"
    found = shutil.which(wanted)
    if found is None:
        raise RuntimeError(f"the command line `{wanted}` was not found; put it on the PATH or name it by COSTATE_BIN")
    return found


class _Hands:
    """A Ray actor: a `costate worker` and what it was last told. It ends with its actor, whose end of the pipe closes."""

    def __init__(self, command: str | None, threads: int, greeting: bytes) -> None:
        self.child = subprocess.Popen(
            [_program(command), "worker", "--workers", str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.world: str | None = None
        self.policy: str | None = None
        self.greeting = self._ask(ord("H"), greeting)

    def greet(self) -> Frame:
        """Its answer to the learner's greeting."""
        return self.greeting

    def play(
        self, world: tuple[str, list[Any]], policy: tuple[str, list[Any]], choice: bytes, jobs: list[bytes]
    ) -> list[Frame]:
        """The answers to these jobs, in the order in which they come.

        Args:
            world: Digest and, in a list that Ray does not look into, reference of the frame's content.
            policy: Likewise.
            choice: How actions are chosen.
            jobs: Index and seeds.
        """
        import ray

        if world[0] != self.world:
            self._tell(ord("W"), ray.get(world[1][0]))
            self.world, self.policy = world[0], None
        if policy[0] != self.policy:
            self._tell(ord("P"), ray.get(policy[1][0]))
            self.policy = policy[0]
        answers = [self._ask(ord("J"), choice + b"".join(jobs))]
        while len(answers) < len(jobs) and answers[-1][0] != ord("q"):
            answers.append(self._answer())
        return answers

    def _tell(self, kind: int, content: bytes) -> None:
        try:
            _write(self.child.stdin, kind, content)
        except BrokenPipeError:
            # It may have said why.
            pass

    def _ask(self, kind: int, content: bytes) -> Frame:
        self._tell(kind, content)
        return self._answer()

    def _answer(self) -> Frame:
        frame = _read(self.child.stdout)
        if frame is None:
            raise RuntimeError(f"costate worker ended with exit code {self.child.wait()}")
        return frame


class _Gone(Exception):
    """The learner has ended."""


class _Refused(Exception):
    """What the learner is told, last of all."""


class _Broker:
    """Hands a learner's jobs to actors."""

    def __init__(self, source: IO[bytes], sink: IO[bytes], actors: int, threads: int, command: str | None) -> None:
        import ray

        self.ray, self.sink = ray, sink
        self.threads, self.command = threads, command
        self.make = ray.remote(_Hands).options(num_cpus=threads)
        self.requests: queue.Queue[Frame | Exception | None] = queue.Queue()
        self.gone = threading.Event()
        threading.Thread(target=self._listen, args=(source,), daemon=True).start()
        self.actors: list[Any] = [None] * actors
        self.greeting = b""
        self.content: dict[str, tuple[str, list[Any]]] = {}
        # By reference: the actor's number, and the jobs that it answers; None for its greeting.
        self.pending: dict[Any, tuple[int, list[bytes] | None]] = {}
        self.ready: set[int] = set()

    def _listen(self, source: IO[bytes]) -> None:
        request: Frame | Exception | None = None
        try:
            while (request := _read(source)) is not None:
                self.requests.put(request)
        except ValueError as error:
            request = error
        self.gone.set()
        self.requests.put(request)

    def serve(self) -> None:
        """Until the learner ends. Raises _Refused."""
        while (request := self.requests.get()) is not None:
            if isinstance(request, Exception):
                raise _Refused(f"expected a request of a learner: {request}")
            kind, content = chr(request[0]), request[1]
            if kind == "H" and not self.greeting:
                self._greet(content)
            elif kind in "WP" and self.greeting:
                # The content itself stays in Ray's store: an actor that has it does not fetch it again.
                self.content[kind] = (hashlib.sha256(content).hexdigest(), [self.ray.put(content)])
            elif kind == "J" and set("WP") <= self.content.keys() and len(content) % JOB == 1:
                self._play(content[:1], [content[i : i + JOB] for i in range(1, len(content), JOB)])
            else:
                raise _Refused(f"a frame of kind {kind!r} where none belongs")

    def _greet(self, greeting: bytes) -> None:
        self.greeting = greeting
        for number in range(len(self.actors)):
            self._start(number)
        losses = 0
        while not self.ready:
            for number, _, answers in self._finished():
                if answers is None:
                    losses += 1
                    if losses > LOSSES:
                        raise _Refused(f"actors end at once, the last one so: {self.reason}")
                    self._start(number)
        _write(self.sink, ord("h"), self.hello)

    def _start(self, number: int) -> None:
        actor = self.make.remote(self.command, self.threads, self.greeting)
        self.actors[number] = actor
        self.pending[actor.greet.remote()] = (number, None)

    def _finished(self) -> list[tuple[int, list[bytes] | None, list[Frame] | None]]:
        """Of each call that ended: the actor's number, its jobs and its answers; None without these if it was lost, once."""
        done, _ = self.ray.wait(list(self.pending), num_returns=1, timeout=0.5)
        if self.gone.is_set():
            raise _Gone
        found: list[tuple[int, list[bytes] | None, list[Frame] | None]] = []
        for reference in done:
            if reference not in self.pending:
                # Of an actor that was lost with an earlier one of these.
                continue
            number, jobs = self.pending.pop(reference)
            try:
                answers = self.ray.get(reference)
            except self.ray.exceptions.RayError as error:
                # A task's error ends with its cause; that of a dead actor begins with it.
                told = str(error).strip().splitlines() or [type(error).__name__]
                self.reason = told[-1 if isinstance(error, self.ray.exceptions.RayTaskError) else 0]
                found.append((number, (jobs or []) + self._drop(number), None))
                continue
            answers = [answers] if jobs is None else answers
            for kind, content in answers:
                if kind == ord("q"):
                    raise _Refused(content.decode(errors="replace"))
            if jobs is None:
                self.ready.add(number)
                self.hello = answers[0][1]
            found.append((number, jobs, answers))
        return found

    def _drop(self, number: int) -> list[bytes]:
        """Ends an actor; the jobs that it had further."""
        self.ready.discard(number)
        self.ray.kill(self.actors[number])
        own = [reference for reference, (of, _) in self.pending.items() if of == number]
        return [job for reference in own for job in self.pending.pop(reference)[1] or []]

    def _play(self, choice: bytes, jobs: list[bytes]) -> None:
        size = max(1, len(jobs) // (4 * len(self.actors)))
        chunks = collections.deque(jobs[i : i + size] for i in range(0, len(jobs), size))
        missing, losses = len(jobs), 0
        while missing:
            held = collections.Counter(number for number, _ in self.pending.values())
            for _ in range(IN_FLIGHT):
                for number in sorted(self.ready):
                    if chunks and held[number] < IN_FLIGHT:
                        held[number] += 1
                        chunk = chunks.popleft()
                        call = self.actors[number].play
                        reference = call.remote(self.content["W"], self.content["P"], choice, chunk)
                        self.pending[reference] = (number, chunk)
            for number, own, answers in self._finished():
                if answers is None:
                    losses += 1
                    if losses > LOSSES * len(self.actors):
                        raise _Refused(
                            f"actors were lost {losses} times within a batch, the last one so: {self.reason}"
                        )
                    print(
                        f"actor {number} was lost ({self.reason}): another one plays its {len(own)} jobs",
                        file=sys.stderr,
                    )
                    chunks.extendleft([job] for job in reversed(own))
                    self._start(number)
                elif own is not None:
                    for kind, content in answers:
                        _write(self.sink, kind, content)
                    missing -= len(answers)


def _serve(options: argparse.Namespace) -> int:
    # Frames have the standard output for themselves: Ray and Python print elsewhere.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    source = sys.stdin.buffer
    _connect(options.address, options.actors * options.workers)
    import ray

    try:
        _Broker(source, sink, options.actors, options.workers, options.command).serve()
    except (_Gone, BrokenPipeError):
        pass
    except _Refused as refusal:
        try:
            _write(sink, ord("q"), str(refusal).encode())
        except BrokenPipeError:
            pass
        print(f"costate.ray: {refusal}", file=sys.stderr)
        return 2
    finally:
        # Ends the actors, and Ray if it was started here.
        ray.shutdown()
    return 0


def _connect(address: str | None, cpus: int | None = None) -> None:
    """Joins the cluster at an address, that of RAY_ADDRESS, or a new one on this machine."""
    import ray

    if ray.is_initialized():
        return
    address = address or os.environ.get("RAY_ADDRESS")
    if address:
        ray.init(address=address, logging_level="warning")
    else:
        ray.init(
            address="local", num_cpus=cpus, object_store_memory=LOCAL_STORE, include_dashboard=False,
            logging_level="warning",
        )  # fmt: skip


# Sweeps ---------------------------------------------------------------------------------------------------------------


def sweep(
    datasets: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    algos: str | Sequence[str],
    settings: Mapping[str, Any] | None = None,
    seeds: Sequence[int] = (0,),
    output: str | os.PathLike[str] = "sweep",
    *,
    evaluate: int = 0,
    workers: int = 1,
    address: str | None = None,
    arguments: Sequence[str] = (),
    command: str | None = None,
) -> list[dict[str, Any]]:
    """Trains every combination of datasets, algorithms, settings and seeds by Ray Tune: one trial, one `costate.train`.

    Called again, it goes on: what is finished is read, an unfinished run resumes from its last checkpoint. Ctrl-C ends it.

    Args:
        datasets: Folders of demonstrations, whose names must differ; all nodes must see them.
        algos: As `costate train --help` lists them.
        settings: As `costate.train` takes them; a list is swept over.
        seeds: Seeds of every random stream.
        output: Folder of the runs, which all nodes must share, with `sweep.csv`, the table.
        evaluate: Episodes to evaluate each policy with; 0: none, and no `score`.
        workers: Threads, and CPUs of Ray, for each run.
        address: Ray's; None: that of RAY_ADDRESS, or a new Ray on this machine.
        arguments: Further ones of the command line.
        command: The program on the nodes; None: that of COSTATE_BIN, or `costate` on the PATH.

    Returns:
        A row for each combination, in their order: run (its folder), dataset, algo, seed, the settings, the metrics of the
        last iteration, score, and error, None if there was none.
    """
    from ray import tune

    folder = Path(output).absolute()
    trials = _trials(datasets, algos, settings or {}, seeds, arguments, folder)
    missing = [t for t in trials if not _row(t)]
    errors: dict[str, str | None] = {}
    if missing:
        _connect(address)
        extra = {"evaluate": evaluate, "workers": workers, "arguments": list(arguments), "command": command}
        tuner = tune.Tuner(
            tune.with_resources(_trial, {"cpu": workers}),
            param_space={"trial": tune.grid_search([{**t, **extra} for t in missing])},
            # Their own names would hold all of it.
            tune_config=tune.TuneConfig(trial_dirname_creator=lambda trial: trial.trial_id),
            run_config=tune.RunConfig(
                storage_path=str(folder / "tune"), verbose=0,
                # Of a lost node: the trial goes on elsewhere. What Costate refuses is a row.
                failure_config=tune.FailureConfig(max_failures=2),
            ),
        )  # fmt: skip
        told = [result.metrics or {} for result in tuner.fit()]
        errors = {metrics["run"]: metrics["error"] for metrics in told if "run" in metrics}
    unfinished = "not finished; call again"
    rows = [_row(t) or {**_shown(t), "error": errors.get(t["run"]) or unfinished} for t in trials]
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / "sweep.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return rows


def _trials(
    datasets: Any, algos: Any, settings: Mapping[str, Any], seeds: Sequence[int], arguments: Sequence[str], folder: Path
) -> list[dict[str, Any]]:
    """What each run is made of."""
    paths = [Path(d).absolute() for d in ([datasets] if isinstance(datasets, (str, os.PathLike)) else datasets)]
    if len({p.name for p in paths}) < len(paths):
        raise ValueError("two datasets have the same folder name, which names their runs")
    swept = [name for name, value in settings.items() if isinstance(value, (list, tuple))]
    values = [value if name in swept else [value] for name, value in settings.items()]
    trials = []
    for path, algo, combination, seed in itertools.product(
        paths, [algos] if isinstance(algos, str) else algos, itertools.product(*values), seeds
    ):
        chosen = dict(zip(settings, combination, strict=True))
        told = "".join(f"-{name}={chosen[name]}" for name in swept)
        # Runs of other settings that are not part of the name are other runs.
        digest = hashlib.sha256(json.dumps([chosen, list(arguments)], sort_keys=True).encode()).hexdigest()[:6]
        told = "".join(c if c.isalnum() or c in "-=._" else "_" for c in told)[:120]
        run = folder / f"{path.name}-{algo}-{seed}{told}-{digest}"
        trials.append({"run": str(run), "dataset": str(path), "algo": algo, "seed": seed, "settings": chosen})
    return trials


def _shown(trial: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: trial[name] for name in ("run", "dataset", "algo", "seed")}
    return row | trial["settings"]


def _row_file(trial: Mapping[str, Any]) -> Path:
    return Path(trial["run"] + ".json")


def _row(trial: Mapping[str, Any]) -> dict[str, Any] | None:
    """The row of a finished run."""
    file = _row_file(trial)
    return json.loads(file.read_text()) if file.exists() else None


def _trial(config: dict[str, Any]) -> None:
    """One run, on whatever node."""
    from ray import tune

    from costate import train

    trial = config["trial"]
    run = Path(trial["run"])
    resume = (run / "config.json").exists()
    common = {"workers": trial["workers"], "command": trial["command"], "progress": lambda line: tune.report(line)}
    row = _shown(trial)
    try:
        if resume:
            done = train(None, output=run, resume=True, **common)
        else:
            done = train(
                trial["dataset"], trial["algo"], trial["settings"], run, seed=trial["seed"],
                arguments=trial["arguments"], **common,
            )  # fmt: skip
        row |= {name: float(values[-1]) for name, values in done.metrics.items() if len(values)}
        if trial["evaluate"]:
            row["score"] = done.evaluate(trial["evaluate"])["normalized_score"]
        row["error"] = None
        file = _row_file(trial)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(row))
        part.replace(file)
    except (ValueError, RuntimeError) as error:
        row["error"] = str(error)
        print(f"{run.name}: {error}", file=sys.stderr)
    tune.report(row)


# Benchmarks -----------------------------------------------------------------------------------------------------------


def _bench(options: argparse.Namespace) -> int:
    program = _program(options.command)
    output = str(Path(options.output or f"benches/{options.suite}").absolute())
    folders = ["-o", output, "--work", str(Path(options.work).absolute())]
    filters = [f"--{name}={value}" for name in FILTERS if (value := getattr(options, name))]
    asked = ["bench", options.suite, *filters, *folders]
    listed = subprocess.run([program, *asked, "--list", "--json"], stdout=subprocess.PIPE, check=False)
    if listed.returncode:
        return listed.returncode
    cells = json.loads(listed.stdout)
    if cells:
        _connect(options.address)
    import ray

    # The first cell of a world records its demonstrations, which the others read.
    first: dict[str, Any] = {}
    task = ray.remote(_cell).options(num_cpus=options.workers, max_retries=3)
    calls = {}
    for cell in cells:
        chosen = [f"--{name}={cell[key]}" for name, key in FILTERS.items()]
        arguments = ["bench", options.suite, "--quiet", *folders, *chosen]
        call = task.remote(options.command, arguments, options.workers, first.get(cell["env"]))
        first.setdefault(cell["env"], call)
        calls[call] = " ".join(str(cell[key]) for key in FILTERS.values())
    failed = 0
    waiting = list(calls)
    while waiting:
        done, waiting = ray.wait(waiting)
        for call in done:
            code, said = ray.get(call)
            failed += code != 0
            print(
                f"{len(calls) - len(waiting)} of {len(calls)}: {calls[call]}{f': {said.strip()}' if code else ''}",
                file=sys.stderr,
            )
    if failed:
        print(f"costate.ray: {failed} cells failed", file=sys.stderr)
        return 1
    # All is there: this writes the table.
    return subprocess.run([program, *asked], check=False).returncode


def _cell(command: str | None, arguments: list[str], cpus: int, _after: object) -> tuple[int, str]:
    """One cell, with as many threads as Ray counts."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    jobs = max(1, cores // cpus)
    found = subprocess.run(
        [sys.executable, "-c", TIED, _program(command), *arguments, f"--jobs={jobs}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    return found.returncode, found.stderr


# Command line ---------------------------------------------------------------------------------------------------------


def _arguments(asked: list[str]) -> argparse.Namespace:
    program = "python -m costate.ray"
    if asked[:1] == ["bench"]:
        parser = argparse.ArgumentParser(
            f"{program} bench",
            description="Measures the missing cells of `costate bench SUITE`, one a task; all nodes must share the folders.",
        )
        parser.add_argument("suite", help="results, controls, starts, ablation or controllers")
        for name in FILTERS:
            parser.add_argument(f"--{name}", help="as for costate bench, separated by commas")
        parser.add_argument("-o", "--output", help="results folder [default: benches/SUITE]")
        parser.add_argument(
            "--work", default="runs/bench", help="folder of demonstrations and runs [default: runs/bench]"
        )
        parser.set_defaults(run=_bench)
        asked, each = asked[1:], "cell"
    else:
        parser = argparse.ArgumentParser(
            program,
            description="Plays a learner's episodes by actors of Ray, for --rollouts of costate train and costate expert.",
            epilog=f"`{program} bench --help` tells about benchmarks.",
        )
        parser.add_argument("--actors", type=_count, required=True, help="number of actors")
        parser.set_defaults(run=_serve)
        each = "actor"
    parser.add_argument(
        "--workers", type=_count, default=1, help=f"threads, and CPUs of Ray, of each {each} [default: 1]"
    )
    parser.add_argument("--address", help="Ray's address [default: that of RAY_ADDRESS, or a new Ray on this machine]")
    parser.add_argument(
        "--command", help="the program on the nodes [default: that of COSTATE_BIN, or costate on the PATH]"
    )
    return parser.parse_args(asked)


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return int(text)


def main() -> int:
    """The command line `python -m costate.ray`."""
    try:
        import ray  # noqa: F401
    except ImportError:
        print("costate.ray: Ray is not installed; `pip install costate[ray]`", file=sys.stderr)
        return 2
    options = _arguments(sys.argv[1:])
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("costate.ray: interrupted; the same command goes on", file=sys.stderr)
    except RuntimeError as error:
        print(f"costate.ray: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
