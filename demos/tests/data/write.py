"""Writes the HDF5 files that tests/arrays.rs reads, in the layouts of D4RL, robomimic 0.3 and Minari 0.5.

    pip install h5py==3.16.0 numpy==2.4.6
    python demos/tests/data/write.py
"""

from pathlib import Path

import h5py
import numpy as np

HERE = Path(__file__).parent


def states(rows, n, start):
    return start + np.arange(rows * n, dtype=np.float64).reshape(rows, n) / 8


# Two episodes of four and two steps, and one of three that the end of the file cuts off; the first terminates.
with h5py.File(HERE / "d4rl.hdf5", "w") as f:
    f.create_dataset("observations", data=states(9, 2, 0).astype("f4"), compression="gzip", shuffle=True)
    f.create_dataset("actions", data=states(9, 1, 100))
    f["rewards"] = -np.arange(9, dtype="f4")
    f["terminals"] = np.arange(9) == 3
    f["timeouts"] = np.arange(9) == 5
    f["metadata/algorithm"] = np.bytes_("SAC")
    f["infos/qpos"] = states(9, 3, 0)

with h5py.File(HERE / "robomimic.hdf5", "w", libver="latest") as f:
    data = f.create_group("data")
    data.attrs["env_args"] = '{"env_name": "Lift", "env_kwargs": {"control_freq": 20}}'
    for i, steps in enumerate((3, 0, 4)):
        demo = data.create_group(f"demo_{i}")
        demo.attrs["num_samples"] = steps
        for key, n in (("eef", 2), ("object", 1)):
            all_states = states(steps + 1, n, i)
            demo[f"obs/{key}"] = all_states[:-1]
            demo[f"next_obs/{key}"] = all_states[1:]
        demo["obs/image"] = np.zeros((steps, 2, 2, 3), np.uint8)
        demo["states"] = states(steps, 4, 0)
        demo["actions"] = states(steps, 2, 10 * i)
        demo["rewards"] = np.arange(steps, dtype=np.float64)
        demo["dones"] = (np.arange(steps) == steps - 1).astype(np.int64)
    f["mask/train"] = np.array([b"demo_0"])
    f["mask/valid"] = np.array([b"demo_2"])

with h5py.File(HERE / "minari.hdf5", "w") as f:
    for i, steps in enumerate((2, 3)):
        episode = f.create_group(f"episode_{i}")
        episode["observations"] = states(steps + 1, 2, i)
        episode["actions"] = states(steps, 1, i).astype("f4")
        episode["rewards"] = np.ones(steps)
        episode["terminations"] = np.arange(steps) == (steps - 1 if i == 1 else -1)
        episode["truncations"] = np.arange(steps) == (steps - 1 if i == 0 else -1)

# A column of 128 TiB that nobody wrote.
with h5py.File(HERE / "declared.hdf5", "w") as f:
    f["observations"] = states(4, 2, 0)
    f["actions"] = states(4, 1, 100)
    f["timeouts"] = np.arange(4) == 3
    f.create_dataset("rewards", shape=(2**44,), chunks=(1024,), dtype="f8")

# Two columns of 48 MiB that nobody wrote.
with h5py.File(HERE / "declared_in_sum.hdf5", "w") as f:
    f["observations"] = states(4, 2, 0)
    f["actions"] = states(4, 1, 100)
    f["timeouts"] = np.arange(4) == 3
    for name in ("extra", "rewards"):
        f.create_dataset(name, shape=(6 * 2**20,), chunks=(1024,), dtype="f8")
