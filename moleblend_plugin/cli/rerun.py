"""``moleblend rerun``: repeat a run from its ``run.json``, after checking that nothing changed underneath."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from moleblend_plugin.errors import MoleblendError

_FOLDERS = ("--save-dir", "--tmp-save-dir")


def rerun(
    run: Annotated[Path, typer.Argument(help="A run's folder (its --save-dir).")],
    save_dir: Annotated[
        Path | None, typer.Option("--save-dir", help="Folder of the new run (default: RUN-rerun).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Continue although data or weights differ.")] = False,
) -> None:
    """Repeat a run: same command, same host, same data, into another folder."""
    from moleblend_plugin.runs.run_record import command_of, read_record

    record = read_record(run)
    target = (save_dir or run.resolve().with_name(f"{run.resolve().name}-rerun")).resolve()
    if target.exists() and any(target.iterdir()):
        raise MoleblendError(f"{target} is not empty: choose another folder with --save-dir")
    changed = changes(record)
    if changed and not force:
        raise MoleblendError(f"{changed[0]}; bring it back, or repeat with --force")
    for text in [*changed, *differences(record)]:
        print(f"warning: {text}", file=sys.stderr)
    command = command_of(record, with_folder(record["arguments"], target))
    if len(record["starts"]) > 1:
        print(f"note: the run was started {len(record['starts'])} times; the last command is repeated")
    print(f"repeating {run} in {target}", flush=True)
    become(command, record)


def with_folder(arguments: list[str], target: Path) -> list[str]:
    """The arguments with other folders to write to."""
    kept: list[str] = []
    skip = False
    for word in arguments:
        if skip:
            skip = False
        elif word in _FOLDERS:
            skip = True
        elif not word.startswith(tuple(f"{flag}=" for flag in _FOLDERS)):
            kept.append(word)
    return [*kept, "--save-dir", str(target), "--tmp-save-dir", str(target / "tmp")]


def changes(record: Mapping[str, Any]) -> list[str]:
    """Data and weights that are no longer what they were, a line each."""
    from moleblend_plugin.files import sha256_of
    from moleblend_plugin.networks.resolve import in_this_installation
    from moleblend_plugin.tasks.store_fingerprint import store_fingerprint

    found = []
    for split, store in record["stores"].items():
        if store_fingerprint(Path(store["path"])) != store["fingerprint"]:
            found.append(f"the {split} store {store['path']} is not the one that the run read")
    weights = record.get("started_from")
    if weights:
        path = in_this_installation(Path(weights["path"]))
        if not path.is_file() or sha256_of(path) != weights["sha256"]:
            found.append(f"{path} is not the checkpoint that the run started from")
    return found


def differences(record: Mapping[str, Any]) -> list[str]:
    """Versions that differ from the run's, a line each."""
    from moleblend_plugin.runs.run_record import git_revision, package_versions

    now = package_versions() | {"python": platform.python_version()}
    before = record["packages"] | {"python": record["python"]}
    found = [
        f"{name} was {before.get(name, 'absent')}, is {now.get(name, 'absent')}"
        for name in sorted(now.keys() | before.keys())
        if now.get(name) != before.get(name)
    ]
    revision = record.get("revision")
    if revision != git_revision():
        found.append(f"the plugin's revision was {revision}, is {git_revision()}")
    elif revision and revision.endswith("-dirty"):
        found.append(f"the plugin's files had changes that revision {revision} does not record")
    return found


def become(command: list[str], record: Mapping[str, Any]) -> NoReturn:
    """Become the training command, so that signals and the exit code are its own.

    Raises:
        MoleblendError: the folder in which the run was started is gone.
    """
    environment = {key: value for key, value in os.environ.items() if key != "MOLEBLEND_HOST"}
    threads = record.get("threads")
    if threads:  # sums depend on it
        environment["OMP_NUM_THREADS"] = str(threads)
    try:
        os.chdir(record["folder"])
    except OSError as error:
        raise MoleblendError(
            f"{record['folder']}, where the run was started, cannot be entered ({error.strerror}): its "
            "relative paths would mean nothing; make it again"
        ) from error
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":  # where exec starts another process and lets the shell go on
        sys.exit(subprocess.call(command, env=environment))
    os.execve(command[0], command, environment)
