#!/usr/bin/env bash
# Ray Data 2.60.0 installed as `ray[data]` reads one local Parquet file and fails on 25 of them, the same file 25 times over:
#   ImportError: cannot import name 'HTTPFileSystem' from 'fsspec.implementations.http'
# Nothing is remote. To tell whether a path is, threads import fsspec's HTTP file system at once; aiohttp, which it needs, is not
# among the requirements of `ray[data]`. The thread that begins the import gets the ModuleNotFoundError that Ray expects; the
# others find the half-imported module and get an ImportError, which it does not. With aiohttp installed all reads succeed.
# What Costate does about it: the extra `ray` of its Python package brings aiohttp; docs/clusters.md says why.
# Seen: without aiohttp [10] for one file, [250, ImportError × 4] for 25; with aiohttp 3.14.5 [10] and [250 × 5].
# Being a race it may spare single reads: of five, at least one has to fail. Exits 0 while this is so, 1 once it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" -q install --no-cache-dir "ray[data]==2.60.0" fsspec==2026.9.0 pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6
cat >"$work/read.py" <<'P'
import sys
import tempfile

import pyarrow
import pyarrow.parquet
import ray

file = tempfile.mkdtemp() + "/numbers.parquet"
pyarrow.parquet.write_table(pyarrow.table({"x": range(10)}), file)
ray.init(num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False)


def read(count):
    try:
        return ray.data.read_parquet([file] * count).count()
    except ImportError as error:
        assert "HTTPFileSystem" in str(error), error
        return "ImportError"


one, many = [read(1)], [read(25) for _ in range(5)]
print(f"{sys.argv[1]}: rows of 1 file {one}, of 25 files {many}")
assert one == [10], "one file alone is read"
if sys.argv[1] == "without aiohttp":
    assert "ImportError" in many, "changed: many files are read without aiohttp"
else:
    assert many == [250] * 5, "changed: not even aiohttp helps"
P
export RAY_DATA_DISABLE_PROGRESS_BARS=1
"$work/venv/bin/python" "$work/read.py" "without aiohttp" 2>"$work/log" || { tail -5 "$work/log"; exit 1; }
"$work/venv/bin/pip" -q install --no-cache-dir aiohttp==3.14.5
"$work/venv/bin/python" "$work/read.py" "with aiohttp" 2>"$work/log" || { tail -5 "$work/log"; exit 1; }
