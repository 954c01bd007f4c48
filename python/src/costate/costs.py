"""Learned costs on numpy arrays."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .policies import batch, unbatch

Array = npt.NDArray[np.float64]

NEWEST = 2
"""The newest format of `cost.safetensors` that this version reads."""

KIND = "energy_model"


class Cost:
    """A learned cost c(s, a), nats, evaluated in double precision as its file describes it.

    `observations` are `[N, observation dim]` or one `[observation dim]`, `actions` and `next_observations` alike;
    results are float64 `[N]`, or one number.

    Args:
        path: A run folder, or a `cost.safetensors` file.

    Raises:
        ValueError: A file that is missing, damaged, newer or no cost; arrays of other shapes.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        file = Path(path)
        self.path = os.fspath(file / "cost.safetensors" if file.is_dir() else file)
        try:
            self._header, self._tensors = _read(Path(self.path))
            self._take()
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"{self.path}: its header lacks or misstates {error}") from None

    def _take(self) -> None:
        header = self._header
        numbers = lambda entry, key: np.asarray(header[entry][key], float)  # noqa: E731
        self._mean, self._std = numbers("normalizer", "mean"), numbers("normalizer", "std")
        self._clip = float(header["normalizer"]["clip"])
        self._centre, self._half = numbers("action_scale", "centre"), numbers("action_scale", "half_range")
        self._settings = header["settings"]
        self._seen = header.get("seen") or list(range(len(self._mean)))
        self._base = header.get("base")
        shaping = header.get("shaping", "undiscounted")
        self.discount = 1.0 if shaping == "undiscounted" else float(shaping["discounted"]["discount"])
        """γ of the shaped cost."""
        self._discounted = shaping != "undiscounted"
        self.log_z = float(header["log_z"])
        """b of log Z(s_0) = V(s_0) + b."""
        self.env: str = header["env"]
        """Name of the world that it was learned in."""
        # A file can state anything: what does not fit shows on one row of zeros.
        try:
            self(np.zeros(self.observation_dim), np.zeros(self.action_dim), np.zeros(self.observation_dim))
        except ValueError as error:
            raise ValueError(f"{self.path}: its header does not fit its tensors: {error}") from None

    @property
    def observation_dim(self) -> int:
        """Entries of an observation."""
        return len(self._mean)

    @property
    def action_dim(self) -> int:
        """Entries of an action."""
        return len(self._half)

    @property
    def has_value(self) -> bool:
        """Whether a soft value V(s) was learned beside."""
        return bool(self._settings["start_value"])

    def __call__(
        self,
        observations: npt.ArrayLike,
        actions: npt.ArrayLike,
        next_observations: npt.ArrayLike | None = None,
        terminated: npt.ArrayLike = False,
    ) -> Any:
        """c(s, a); with `next_observations` the shaped cost c(s, a) − γ V(s′) + V(s), the learned reward negated.

        `terminated`, bool `[N]`: where s′ is final; under a discount γ its V is 0 there.
        """
        states, one = self._rows("observations", observations, self.observation_dim)
        u = (self._rows("actions", actions, self.action_dim)[0] - self._centre) / self._half
        if len(u) != len(states):
            raise ValueError(f"{len(states)} observations with {len(u)} actions, expected as many of both")
        cost = self._step(self._normal(states), u)
        if next_observations is not None:
            after, _ = self._rows("next_observations", next_observations, self.observation_dim)
            if len(after) != len(states):
                raise ValueError(f"{len(states)} observations with {len(after)} next ones, expected as many of both")
            next_value = self.value(after)
            if self._discounted:
                next_value = np.where(np.asarray(terminated), 0.0, next_value)
            cost = cost - self.discount * next_value + self.value(states)
        return unbatch(cost, one)

    def value(self, observations: npt.ArrayLike) -> Any:
        """The soft value V(s), 0 if none was learned."""
        states, one = self._rows("observations", observations, self.observation_dim)
        if not self.has_value:
            return unbatch(np.zeros(len(states)), one)
        form = self._settings["form"]
        # V beside learned features is a network of its own.
        return unbatch(self._function("value", "neural" if form == "features" else form, self._normal(states)), one)

    def _rows(self, name: str, array: npt.ArrayLike, width: int) -> tuple[Array, bool]:
        rows, one = batch(name, array)
        if rows.shape[1] != width:
            raise ValueError(f"{name} have {rows.shape[1]} entries, expected {width}")
        return rows.astype(float), one

    def _normal(self, states: Array) -> Array:
        return np.clip((states - self._mean) / self._std, -self._clip, self._clip)

    def _step(self, states: Array, u: Array) -> Array:
        settings = self._settings
        seen = states[:, self._seen]
        x = seen if settings.get("state_only") else np.hstack([seen, u])
        cost = self._function("cost", settings["form"], x)
        bound = settings.get("bound", 0.0)
        if bound > 0:
            cost = bound * np.tanh(cost / bound)
        cost = cost + settings.get("action_penalty", 0.0) * (u**2).sum(1)
        return cost if self._base is None else cost - self._base_log_density(states, u)

    def _function(self, prefix: str, form: str, x: Array) -> Array:
        if form == "quadratic":
            raw, linear = self._tensors[f"{prefix}.quadratic"], self._tensors[f"{prefix}.linear"]
            return ((x @ (raw + raw.T)) * x).sum(1) / 4 + x @ linear
        out = self._network(prefix, x)
        return (out**2).sum(1) if form == "features" else out[:, 0]

    def _network(self, prefix: str, x: Array) -> Array:
        i = 0
        while f"{prefix}.{i}.weight" in self._tensors:
            x = (np.tanh(x) if i else x) @ self._tensors[f"{prefix}.{i}.weight"].T + self._tensors[f"{prefix}.{i}.bias"]
            i += 1
        if i == 0:
            raise ValueError(f"no layers `{prefix}.0`, …")
        return x

    def _base_log_density(self, states: Array, u: Array) -> Array:
        """log π_0(a | s) of the cloned policy that the cost is relative to."""
        out = self._network("base.policy", states)
        rho = self._tensors.get("base.policy.rho", out[:, self.action_dim :])
        std = self._base["std_floor"] + np.logaddexp(0.0, rho)
        z = (u - out[:, : self.action_dim]) / std
        return (-0.5 * z**2 - np.log(std * self._half) - 0.5 * np.log(2 * np.pi)).sum(1)

    def __repr__(self) -> str:
        return f"<costate cost for {self.env}: {self.observation_dim} observations, {self.action_dim} actions>"


def load_cost(path: str | os.PathLike[str]) -> Cost:
    """The cost of a run folder or of a `cost.safetensors` file; see `Cost`."""
    return Cost(path)


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and tensors of a cost's file."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}; runs of bc, ibc, flow-bc and dagger have no cost") from None
    try:
        start = 8 + struct.unpack("<Q", data[:8])[0]
        entries = json.loads(data[8:start])
        text = entries.pop("__metadata__")["costate"]
        header = json.loads(text)
    except (KeyError, ValueError, struct.error):
        raise ValueError(f"{file}: not a Costate safetensors file") from None
    if header.get("kind") != KIND:
        raise ValueError(f"{file}: kind `{header.get('kind')}`, expected `{KIND}`: a cost")
    if header.get("format", 0) > NEWEST:
        raise ValueError(f"{file}: format {header['format']}, this version reads up to {NEWEST}; update costate")
    _check_seal(file, data, header)

    def array(entry: dict[str, Any]) -> Array:
        first, last = (start + at for at in entry["data_offsets"])
        numbers = np.frombuffer(data[first:last], {"F32": "<f4", "F64": "<f8"}[entry["dtype"]])
        if not np.isfinite(numbers).all():
            raise ValueError(f"{file}: its tensors hold numbers that are not finite")
        return numbers.reshape(entry["shape"]).astype(float)

    return header, {name: array(entry) for name, entry in entries.items()}


def _check_seal(file: Path, data: bytes, header: dict[str, Any]) -> None:
    """Refuses a file whose checksum, of the whole file with zeros in its place, does not hold; older files have none."""
    digest = header.get("sha256")
    if digest is None:
        return
    blank = data.replace(str(digest).encode(), b"0" * 64, 1)
    if hashlib.sha256(blank).hexdigest() != digest:
        raise ValueError(f"{file}: its checksum does not fit its contents: it is damaged or was edited")
