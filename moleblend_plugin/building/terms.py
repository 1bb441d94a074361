"""What the end of a build needs to know of its beginning: the same for one run and for joined pieces."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from moleblend_plugin.building.labels import class_words, mixed, notes_of
from moleblend_plugin.building.plan import BuildPlan
from moleblend_plugin.splits.methods import SplitMethod

_AS_IT_WAS_READ: Final = ("classes", "notes", "mixed")
"""Facts that reading the inputs brings; the others are there before."""
_HERE: Final = ("out", "workers")
"""Facts that say nothing about the result."""


@dataclass(frozen=True, slots=True)
class BuildTerms:
    """Everything about a build whose rows are finished.

    Attributes:
        out: folder for the stores and reports.
        inputs: names of the input files.
        targets: names of the labels.
        split: a form of ``--split``; of a given split only its kind.
        method: ``split`` taken apart.
        sizes: fractions of train, valid and test.
        seed: of the random split and of conformers.
        settings: what determines the stores' content, besides the inputs.
        split_settings: what decides the parts, for ``split.json``.
        checksums: sha256 of every input file by name.
        exclude: level and files of the molecules that are left out, or ``None``.
        descriptors: whether RDKit's descriptors are stored.
        ecfp: whether ECFP4 counts are stored.
        workers: processes that converted.
        classes: by label, the words that were read as classes, and their numbers.
        notes: how files were read, where that is not plain.
        mixed: labels of several kinds, a line each.
    """

    out: Path
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    split: str
    method: SplitMethod
    sizes: tuple[float, ...]
    seed: int
    settings: dict[str, Any]
    split_settings: dict[str, Any]
    checksums: dict[str, str]
    exclude: dict[str, Any] | None
    descriptors: bool
    ecfp: bool
    workers: int
    classes: dict[str, dict[str, int]]
    notes: list[str]
    mixed: list[str]

    def to_plain(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Plain values: what was asked for, and what reading the inputs brought."""
        plain = {name: fact for name, fact in asdict(self).items() if name not in _HERE}
        return plain, {name: plain.pop(name) for name in _AS_IT_WAS_READ}

    @classmethod
    def from_plain(cls, asked: dict[str, Any], read: dict[str, Any], out: Path, workers: int) -> BuildTerms:
        """Of what :meth:`to_plain` gave, for another folder.

        Raises:
            KeyError: a fact is missing.
            TypeError: it is of another form.
        """
        facts = asked | read | {"out": out, "workers": workers, "method": SplitMethod(**asked["method"])}
        facts |= {name: tuple(facts[name]) for name in ("inputs", "targets", "sizes")}
        return cls(**{item.name: facts[item.name] for item in fields(cls)})


def terms_of(plan: BuildPlan, checksums: dict[str, str]) -> BuildTerms:
    """Of a plan whose inputs have been read."""
    files, split, method = list(plan.exclusion.files), plan.split, plan.method
    if plan.rows_file is not None:  # wherever it lies
        split, method = plan.method.kind, replace(plan.method, name=plan.rows_file.path.name)
    return BuildTerms(
        out=plan.out,
        inputs=tuple(source.name for source in plan.sources),
        targets=plan.columns.targets,
        split=split,
        method=method,
        sizes=plan.sizes,
        seed=plan.seed,
        settings=plan.settings(),
        split_settings=plan.split_settings(),
        checksums=checksums,
        exclude={"level": plan.exclusion.level, "files": files} if files else None,
        descriptors=plan.descriptors,
        ecfp=plan.ecfp,
        workers=plan.workers,
        classes=class_words(plan),
        notes=notes_of(plan),
        mixed=list(mixed(plan)),
    )
