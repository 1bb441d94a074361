"""``SAVE_DIR/run.json``: what it takes to repeat a run, written at every start under either host."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing, sha256_of
from moleblend_plugin.networks.resolve import name_or_path
from moleblend_plugin.runs import launch
from moleblend_plugin.runs.run_files import RUN_RECORD
from moleblend_plugin.version import __version__

PACKAGES = ("torch", "numpy", "lightning-fabric", "lmdb", "msgpack", "rdkit", "numba", "unicore")
"""Packages whose versions can change a run's numbers, besides this one."""

RunRecord = dict[str, Any]
Stores = Mapping[str, Mapping[str, str]]
"""By split: ``path`` and ``fingerprint`` of the data, as a task's ``store_fingerprints()`` gives them."""


def stores_of(task: object) -> Stores:
    """What the task reports of its data, empty for a task without ``store_fingerprints()``."""
    reported = getattr(task, "store_fingerprints", None)
    found: Stores = {} if reported is None else reported()
    return found


def package_versions() -> dict[str, str]:
    """Versions of this package and of :data:`PACKAGES`, those that are installed."""
    versions = {"moleblend_plugin": __version__}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def git_revision(folder: Path = launch.OWN_FOLDER.parent) -> str | None:
    """Commit of a checkout, with ``-dirty`` where tracked files differ; ``None`` outside of one."""
    if not (folder / ".git").exists():
        return None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("-dirty" if changed else "")


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, encoding="utf-8", timeout=30, check=True
    )
    return done.stdout.strip()


def _started_from(args: Namespace) -> dict[str, str] | None:
    path = getattr(args, "finetune_from_model", None)
    if path is None or not Path(path).is_file():
        return None
    path = Path(path).resolve()
    name = name_or_path(path)
    bundled = {"name": name} if name != str(path) else {}
    return {"path": str(path), "sha256": sha256_of(path)} | bundled


def _launcher() -> dict[str, int] | None:
    """Processes that a launcher such as torchrun started, ``None`` where nobody did."""
    if "LOCAL_WORLD_SIZE" not in os.environ:
        return None
    return {"world": int(os.environ["WORLD_SIZE"]), "per_node": int(os.environ["LOCAL_WORLD_SIZE"])}


def write_record(args: Namespace, arguments: Sequence[str], host: str, stores: Stores) -> Path:
    """Write ``run.json``; a file of an earlier start is replaced, its start times are kept.

    Args:
        args: the run's options, all of them, with what the architecture filled in.
        arguments: the command's arguments as they were typed.
        host: "unicore" or "embedded".
        stores: the data.

    Returns:
        The file.

    Raises:
        MoleblendError: it cannot be written.
    """
    import torch

    path = Path(args.save_dir) / RUN_RECORD
    earlier = read_record(path.parent)["starts"] if path.is_file() else []
    record: RunRecord = {
        "host": host,
        "arguments": list(arguments),
        "folder": str(Path.cwd()),
        "launcher": _launcher(),
        "processes": int(args.distributed_world_size),
        "threads": torch.get_num_threads(),
        "seed": args.seed,
        "stores": {split: dict(store) for split, store in stores.items()},
        "started_from": _started_from(args),
        "settings": _plain(vars(args)),
        "packages": package_versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "revision": git_revision(),
    }
    start = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "arguments": list(arguments)}
    record["starts"] = [*earlier, start | {"host": host, "revision": record["revision"]}]
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def read_record(run: Path) -> RunRecord:
    """Read the ``run.json`` of a run's folder.

    Raises:
        MoleblendError: there is none, or it is no such record.
    """
    path = run / RUN_RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MoleblendError(
            f"{path} does not exist: give the --save-dir of a run that this package trained"
        ) from error
    except (OSError, ValueError) as error:
        raise MoleblendError(f"{path} cannot be read ({error}): restore it or remove it") from error
    needed = {"host", "arguments", "folder", "stores", "packages", "python", "starts"}
    if not isinstance(record, dict) or not needed <= record.keys():
        raise MoleblendError(f"{path} is not the record of a run: restore it or remove it")
    return record


def command_of(record: RunRecord, arguments: Sequence[str]) -> list[str]:
    """The program that trained the run, with other arguments.

    Raises:
        MoleblendError: it cannot be started from here.
    """
    if record["host"] == "unicore":
        if not launch.has_unicore():
            raise MoleblendError(
                "the run was made by Uni-Core, which is not installed here: install it, or train again with "
                f"moleblend-train {shlex.join(arguments)}"
            )
        program = [str(Path(launch.__file__).resolve())]
    else:
        program = ["-m", "moleblend_plugin.trainer.main"]
    launcher = record.get("launcher")
    if launcher is None:
        return [sys.executable, *program, *arguments]
    if launcher["world"] != launcher["per_node"]:
        raise MoleblendError(
            f"the run had {launcher['world']} processes on several nodes: start it there with the arguments "
            f"{shlex.join(arguments)}"
        )
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={launcher['per_node']}"]
    return [sys.executable, *torchrun, *program, *arguments]
