#!/usr/bin/env bash
# A Dask worker that is killed while it starts is not started again: its `dask worker` command ends.
#
# The nanny of `dask worker` starts its worker again whenever that is killed: for want of memory, for example. Not so in
# the first seconds, while the worker imports: then the nanny fails ("Nanny failed to start"), and with it the
# command and all of its other workers (`--nworkers 4`). A job array of workers thus loses whole nodes where memory is
# scarce at the start, and the client waits for workers that nobody starts again. So let a service (systemd, the
# scheduler's requeue) start `dask worker` again, or start one command per worker.
#
# Seen with: distributed 2026.8.0, Python 3.11, Linux.
# Output seen:
#   killed after it joined:    the command lives, with a new worker
#   killed while it started:   the command ended with exit code 1, its second worker too
#
# Exits 0 while this holds; otherwise it says what changed. It takes some 20 seconds of processor time.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile distributed==2026.8.0 dask==2026.8.0
cat >"$work/finding.py" <<'PY'
import os
import subprocess
import sys
import time

import psutil

FOLDER = os.path.dirname(os.path.abspath(__file__))
FILE = os.path.join(FOLDER, "scheduler.json")
PATIENCE = 300  # a busy machine starts slowly


def command(kind, *words):
    argv = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--scheduler-file", FILE, "--no-dashboard", *words]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def workers(of):
    """Processes of workers below the command."""
    found = []
    for process in psutil.Process(of.pid).children(recursive=True):
        try:
            if "spawn_main" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def until(true):
    ends = time.monotonic() + PATIENCE
    while not (value := true()):
        if time.monotonic() > ends:
            return None
        time.sleep(0.02)
    return value


def joined(count):
    """Whether so many workers have joined the scheduler."""
    from distributed import Client

    with Client(scheduler_file=FILE, timeout=60) as client:
        client.wait_for_workers(count, timeout=PATIENCE)


def start():
    return command("worker", "--nworkers", "2", "--nthreads", "1", "--memory-limit", "0", "--local-directory", FOLDER)


def main():
    scheduler = command("scheduler", "--port", "0")
    commands = []
    try:
        until(lambda: os.path.exists(FILE))
        commands.append(start())
        joined(2)
        before = {process.pid for process in workers(commands[0])}
        os.kill(min(before), 9)
        again = until(lambda: [one for one in workers(commands[0]) if one.pid not in before])
        lives = commands[0].poll() is None and bool(again)
        print(f"killed after it joined:    the command {'lives, with a new worker' if lives else 'ended'}")
        commands[0].terminate()
        commands[0].wait()
        commands.append(start())
        first = until(lambda: workers(commands[1]))
        first[0].kill()
        until(lambda: commands[1].poll() is not None)
        code = commands[1].poll()
        print(f"killed while it started:   the command {f'ended with exit code {code}, its second worker too' if code is not None else 'lives'}")
        holds = lives and code not in (None, 0)
    finally:
        for process in (*commands, scheduler):
            process.terminate()
            process.wait()
    print("the finding holds" if holds else "changed: a worker that is killed at its start is started again")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
PY
timeout 900 "$work/venv/bin/python" "$work/finding.py"
