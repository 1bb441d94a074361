"""What a worker does with a chunk of rows, and which settings its outcomes depend on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from moleblend_plugin.building.divide import SplitCheck, check_split
from moleblend_plugin.building.finished_rows import Chunk, Finished, finished, pack
from moleblend_plugin.building.plan import BuildPlan
from moleblend_plugin.chem.convert import TOOLKIT
from moleblend_plugin.chem.workers import Outcome, Row, Task, convert_chunk
from moleblend_plugin.schema import SCHEMA_VERSION
from moleblend_plugin.version import __version__

_FORMAT: Final = 2
"""Of the folder that a build works in; a change makes older folders another plan's."""


@dataclass(frozen=True, slots=True)
class BuildWork:
    """Rows to a packed chunk; sent to each worker once.

    Attributes:
        task: how rows become molecules.
        check: what their split text must be.
    """

    task: Task
    check: SplitCheck

    @property
    def chunk(self) -> int:
        """Rows that are finished, sent and kept together: about a second of work."""
        return 256 if self.task.conversion.conformers is None else 8

    def __call__(self, rows: list[Row]) -> Chunk:
        """Outcomes of ``rows``."""
        return pack([self._finished(outcome) for outcome in convert_chunk(rows, self.task)])

    def _finished(self, outcome: Outcome) -> Finished:
        return finished(check_split(outcome, self.check), outcome.split, outcome.identity)


def work_of(plan: BuildPlan) -> BuildWork:
    """What the workers of ``plan`` do."""
    method = plan.method
    excluded, level = plan.exclusion.identities, plan.exclusion.level
    task = Task(
        plan.conversion, method.by_scaffold, method.kind == "scaffold", excluded, level, identities=True
    )
    return BuildWork(task, SplitCheck.of(plan))


def work_settings(plan: BuildPlan, work: BuildWork, checksums: dict[str, str]) -> dict[str, Any]:
    """What the outcomes of rows depend on, plain values: where these agree, finished rows are taken over.

    The division into parts (sizes, seed, which folds) is not among them: it is made last.
    """
    return {
        "format": _FORMAT,
        "chunk": work.chunk,
        "inputs": checksums,
        "columns": plan.columns.settings(),
        "conversion": asdict(plan.conversion),
        "scaffolds": plan.method.kind if work.task.scaffolds else None,
        "split_text": asdict(work.check),
        "geometry": plan.geometry.name if plan.geometry else None,
        "excluded": [plan.exclusion.level, plan.excluded_sha256] if plan.exclusion.identities else None,
        "parts_of_files": plan.parts_of_files,
        "split_rows": plan.rows_file.sha256 if plan.rows_file else None,
        "limit": plan.limit,
        "schema_version": SCHEMA_VERSION,
        "package_version": __version__,
        "toolkit": TOOLKIT,
    }


def different(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Names of the settings that differ."""
    for name in new:
        if old.get(name) != new[name]:
            yield name.replace("_", " ")
