#!/usr/bin/env bash
# A Dask worker that reads a molecule store counts the store's pages as its own memory, and stops taking work.
#
# LMDB maps its file; what was read stays in the system's cache and is given back the moment another program wants the
# memory. Dask's limits (spill at 70 %, pause at 80 %, restart at 95 % of a worker's share) are held against the resident
# size of the process, in which mapped pages count as much as its own arrays. So a task that keeps nothing, and only reads a
# store larger than the worker's share once, gets the worker paused: tasks that wait for it do not start while the
# environment stays open. (Above 95 % its nanny would restart it; here that is switched off.) Closing the environment
# gives the pages back at once, and the worker goes on. So open a store per task, close it, and choose a limit by what the
# process owns.
#
# Seen with: distributed 2026.8.0, lmdb 3.0.0, Python 3.11, Linux; one worker with a limit of 600 MB, a store of
# 520 MB in values of 16 KB.
# Output seen (MB are of one run):
#   before:             worker running, counted   65 MB, own  51 MB
#   store read, open:   worker paused,  counted  598 MB, own  52 MB
#   environment closed: worker running, counted   65 MB, own  52 MB
# "Own" is what no file backs (Anonymous in smaps_rollup). The unique set size of psutil does not tell the two apart: it
# said 585 MB, since no other process maps the file.
#
# Exits 0 while this holds; otherwise it says what changed. It takes half a minute of processor time and 520 MB of disk.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile distributed==2026.8.0 dask==2026.8.0 lmdb==3.0.0
cat >"$work/reading.py" <<'PY'
"""What a worker does; a file of its own, since tasks are sent by name."""

import lmdb

KEPT = []


def read_all(path):
    """Bytes of all values; the environment stays open, as a data set that is kept between tasks would."""
    environment = lmdb.open(path, subdir=False, readonly=True, lock=False)
    KEPT.append(environment)
    with environment.begin() as reading:
        return sum(value[0] + value[-1] and len(value) for _, value in reading.cursor())


def close_all():
    while KEPT:
        KEPT.pop().close()
PY
cat >"$work/finding.py" <<'PY'
import os
import sys
import time

import dask
import lmdb
import reading
from distributed import Client, LocalCluster

VALUE, VALUES = 16_000, 32_500


def write_store(path):
    environment = lmdb.open(path, subdir=False, map_size=1 << 31, sync=False)
    with environment.begin(write=True) as writing:
        for number in range(VALUES):
            writing.put(b"%08d" % number, b"\x01" * VALUE)
    environment.close()


def anonymous(pid):
    """Bytes that no file backs: what the process would have to keep."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))


def seen(client, pid, wanted, patience=20):
    """Status, counted and own MB of the worker, once it has the wanted status or patience ends."""
    ends = time.monotonic() + patience
    while True:
        (worker,) = client.scheduler_info(n_workers=-1)["workers"].values()
        own = anonymous(pid) / 1e6
        if worker["status"] == wanted or time.monotonic() > ends:
            time.sleep(2)  # for one more report of the worker
            (worker,) = client.scheduler_info(n_workers=-1)["workers"].values()
            return worker["status"], worker["metrics"]["memory"] / 1e6, own
        time.sleep(0.2)


def main():
    folder = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join(folder, "store.lmdb")
    write_store(path)
    dask.config.set({"distributed.worker.memory.terminate": False, "distributed.admin.large-graph-warning-threshold": "1GB"})
    with LocalCluster(
        n_workers=1, threads_per_worker=1, memory_limit="600MB", dashboard_address=":0", local_directory=folder
    ) as cluster, Client(cluster) as client:
        pid = client.submit(os.getpid, pure=False).result()
        steps = {"before": seen(client, pid, "running")}
        read = client.submit(reading.read_all, path, pure=False).result()
        assert read == VALUE * VALUES, read
        steps["store read, open"] = seen(client, pid, "paused")
        client.run(reading.close_all)  # runs even where a worker is paused
        steps["environment closed"] = seen(client, pid, "running")
    for name, (status, counted, own) in steps.items():
        print(f"{name + ':':<20}worker {status + ',':<8} counted {counted:4.0f} MB, own {own:3.0f} MB")
    before, opened, closed = steps.values()
    holds = (
        before[0] == closed[0] == "running"
        and opened[0] == "paused"
        and opened[1] > 480 > 3 * opened[2]
        and closed[1] < 250
    )
    print("the finding holds" if holds else "changed: mapped pages no longer count as a worker's memory")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
PY
cd "$work"
PYTHONPATH="$work" timeout 300 "$work/venv/bin/python" "$work/finding.py"
