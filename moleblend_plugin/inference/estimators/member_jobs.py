"""Members in processes of their own, in a folder that keeps what is finished.

A member's folder holds its stores, ``job.json`` (what is trained), the run, and at the end ``curve.json``. A
member whose ``curve.json`` is there and whose job is the same is not trained again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from moleblend_plugin.entry import usable_cores
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing
from moleblend_plugin.host.in_process import train_in_process
from moleblend_plugin.runs.run_files import EVENT_LOG
from moleblend_plugin.schema import MoleculeRecord
from moleblend_plugin.stopping import ended_by

JOB: Final = "job.json"
CURVE: Final = "curve.json"
ERROR: Final = "error.txt"
_LOG: Final = "log.txt"
_POLL_SECONDS: Final = 0.2

OnEpochs = Callable[[int, int], None]
"""``report(done, total)``: epochs that all members together have finished, of how many."""


class MemberJobs(NamedTuple):
    """How members are trained side by side.

    Attributes:
        folder: what is finished stays here; empty at the first start.
        processes: members at a time.
        report: told how far they are.
    """

    folder: Path
    processes: int = 1
    report: OnEpochs = lambda done, total: None

    def at_its_end(self) -> MemberJobs:
        """The same for what was done before: it is told that all is done."""
        return self._replace(report=lambda done, total: self.report(total, total))


class Job(NamedTuple):
    """One member's training.

    Attributes:
        folder: of the member.
        arguments: of ``moleblend-train``.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        data_sha256: of what it is trained on and chosen by (:func:`sha256_of_records`).
        write_data: writes its stores.
    """

    folder: Path
    arguments: Sequence[str]
    device: str
    data_sha256: str
    write_data: Callable[[], None]

    @property
    def log(self) -> Path:
        """The events of its run."""
        return self.folder / "run" / EVENT_LOG

    @property
    def epochs(self) -> int:
        """How many it is trained for."""
        return int(self.arguments[list(self.arguments).index("--max-epoch") + 1])

    def plain(self) -> dict[str, Any]:
        """What identifies it, and what its process needs; paths are of the member's folder."""
        here = str(self.folder)
        words = [word.replace(here, ".") for word in self.arguments]
        return {"arguments": words, "device": self.device, "data_sha256": self.data_sha256}


def sha256_of_records(*parts: Sequence[MoleculeRecord]) -> str:
    """Checksum of molecules and labels, in their order and parts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}\n".encode())
        for record in part:
            digest.update(record.smiles.encode() + record.targets.tobytes())
    return digest.hexdigest()


def run_jobs(
    jobs: Sequence[Job],
    how: MemberJobs,
    read_curve: Callable[[Path], dict[int, float]],
    after_epoch: Callable[[], None] = lambda: None,
) -> None:
    """Train every member that is not finished yet; ``curve.json`` of each is there afterwards.

    Args:
        jobs: the members.
        how: where, and how many at a time.
        read_curve: of a finished member, from the log of its run.
        after_epoch: called when members have finished epochs.

    Raises:
        MoleblendError: a training failed; the others are ended.
    """
    waiting = [job for job in jobs if not _is_done(job)]
    running: list[tuple[Job, subprocess.Popen[bytes]]] = []
    total, before = sum(job.epochs for job in jobs), -1
    threads = max(1, usable_cores() // max(1, how.processes))
    try:
        while waiting or running:
            while waiting and len(running) < how.processes:
                running.append(_start(waiting.pop(0), threads))
            time.sleep(_POLL_SECONDS)
            for job, process in list(running):
                if process.poll() is not None:
                    running.remove((job, process))
                    _finish(job, process.returncode, read_curve)
            done = sum(_epochs_done(job) for job in jobs)
            if done != before:
                after_epoch()
            before = done
            how.report(done, total)
    finally:
        for _, process in running:
            process.terminate()
        for _, process in running:
            process.wait()


def curve_of(job: Job) -> dict[int, float]:
    """Validation by epoch of a finished member."""
    return read_curve_file(job.folder / CURVE)


def read_curve_file(path: Path) -> dict[int, float]:
    """Validation by epoch that a ``curve.json`` holds."""
    return {int(epoch): value for epoch, value in json.loads(path.read_text(encoding="utf-8")).items()}


def _is_done(job: Job) -> bool:
    try:
        same = json.loads((job.folder / JOB).read_text(encoding="utf-8")) == job.plain()
    except (OSError, ValueError):
        return False
    return same and (job.folder / CURVE).is_file()


def _start(job: Job, threads: int) -> tuple[Job, subprocess.Popen[bytes]]:
    """A process of a member, whose folder is emptied first."""
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True)
    job.write_data()
    (job.folder / JOB).write_text(json.dumps(job.plain(), indent=1) + "\n", encoding="utf-8")
    few = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    with (job.folder / _LOG).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(job.folder)],
            env={**few, **os.environ, "MOLEBLEND_HOST": "embedded"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the command, which ends its members
        )
    return job, process


def _finish(job: Job, code: int, read_curve: Callable[[Path], dict[int, float]]) -> None:
    """Keep the curve of a member that ended well.

    Raises:
        MoleblendError: it did not.
    """
    if code == 0:
        with replacing(job.folder / CURVE) as temporary:
            temporary.write_text(json.dumps(read_curve(job.log)) + "\n", encoding="utf-8")
        return
    error = job.folder / ERROR
    if error.is_file():
        raise MoleblendError(error.read_text(encoding="utf-8").strip())
    how = ended_by(-code).how if code < 0 else f"with exit code {code}"
    raise MoleblendError(f"the training of a member ended {how}: {job.folder / _LOG} says more")


def _epochs_done(job: Job) -> int:
    if (job.folder / CURVE).is_file():
        return job.epochs
    try:
        lines = job.log.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return sum('"event": "valid"' in line for line in lines)


def main(folder: Path) -> None:
    """Train the member of a folder; what the user can put right goes to ``error.txt``."""
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    words = [
        word.replace("./", f"{folder}/", 1) if word.startswith("./") else word for word in job["arguments"]
    ]
    try:
        train_in_process(words, device=job["device"])
    except MoleblendError as error:
        (folder / ERROR).write_text(str(error) + "\n", encoding="utf-8")
        raise SystemExit(2) from error


if __name__ == "__main__":
    main(Path(sys.argv[1]))
