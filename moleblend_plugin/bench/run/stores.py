"""The stores of a comparison: built once per set, again when settings change."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from moleblend_plugin.bench.run.set_table import with_table
from moleblend_plugin.bench.spec.cell_spec import store_folder
from moleblend_plugin.bench.spec.config import SetSpec
from moleblend_plugin.building.run import build
from moleblend_plugin.chem.geometry.conformer_method import DEFAULT_METHOD
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing, sha256_of
from moleblend_plugin.names import write_targets
from moleblend_plugin.schema import PARTS
from moleblend_plugin.version import __version__

ABOUT: Final = "bench.json"
"""Beside the stores: what they were built from, sizes of scaffolds, and what the parts share."""


@dataclass(frozen=True, slots=True)
class Built:
    """Stores that are there.

    Attributes:
        fingerprints: by part.
        new: whether they were built now.
    """

    fingerprints: dict[str, str]
    new: bool


def ensure_stores(spec: SetSpec, out: Path, workers: int, featurizers: tuple[str, ...] = ()) -> Built:
    """Build the stores of a set, unless they are there and were built the same way.

    Args:
        spec: the set.
        out: folder of the comparison.
        workers: processes that build.
        featurizers: what the stores must hold for heads of networks: "descriptors", "ecfp". Stores that hold
            more serve as well.

    Raises:
        MoleblendError: the build failed, or a part is missing.
    """
    from moleblend_plugin.tasks.store_fingerprint import store_fingerprint

    folder = store_folder(out, spec.name)
    wanted = _settings(spec)
    about = _read_about(folder)
    held = set(about.get("featurizers", ()))
    new = (
        about.get("settings") != wanted
        or not held >= set(featurizers)
        or not all((folder / f"{part}.lmdb").is_file() for part in PARTS)
    )
    if new:
        log = out / "logs" / f"build-{spec.name}.log"
        _build(with_table(spec, out), folder, log, workers, featurizers)
        held = set(featurizers)
    if new or "shared" not in about:
        with replacing(folder / ABOUT) as temporary:
            facts = {
                "settings": wanted,
                "featurizers": sorted(held),
                "scaffold_sizes": _scaffold_sizes(folder),
                "shared": _shared(folder),
            }
            temporary.write_text(json.dumps(facts) + "\n", encoding="utf-8")
    return Built({part: store_fingerprint(folder / f"{part}.lmdb") for part in PARTS}, new)


def scaffold_sizes(out: Path, name: str) -> dict[str, int]:
    """By row id of a test molecule, how many molecules of the set have its scaffold (itself counted)."""
    sizes: dict[str, int] = _read_about(store_folder(out, name)).get("scaffold_sizes", {})
    return sizes


def shared_with_test(out: Path, name: str) -> dict[str, dict[str, int]]:
    """By part (train, valid), how many ``molecules``, ``conflicts`` and ``scaffolds`` it shares with test.

    A molecule is the same without stereochemistry; conflicts are those whose labels differ.
    """
    shared: dict[str, dict[str, int]] = _read_about(store_folder(out, name)).get("shared", {})
    return shared


def _settings(spec: SetSpec) -> dict[str, Any]:
    from moleblend_plugin.chem.convert import TOOLKIT
    from moleblend_plugin.chem.geometry.conformers import GEOMETRY_VERSION
    from moleblend_plugin.splits.given_rows import rows_file_path

    kind, _, name = spec.split.partition(":")
    split = spec.split
    if kind == "rows":
        path, replicate = rows_file_path(name)
        split = f"rows:{sha256_of(path)}" + ("" if replicate is None else f":{replicate}")
    return {
        "version": __version__,
        "toolkit": TOOLKIT,
        "table": sha256_of(spec.table),
        "smiles": spec.smiles,
        "targets": list(spec.targets),
        "conformers": spec.conformers,
        "split": split,
        "seed": spec.split_seed,
        "geometry_version": GEOMETRY_VERSION,
        **({} if spec.conformer_method == DEFAULT_METHOD else {"conformer_method": spec.conformer_method}),
        **({"words": {key: list(given) for key, given in spec.words.items()}} if spec.words else {}),
        **({"sample": spec.sample} if spec.sample is not None else {}),
        **({"header": list(spec.header)} if spec.header else {}),
    }


def _build(spec: SetSpec, folder: Path, log: Path, workers: int, featurizers: tuple[str, ...]) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    words = spec.words or {}
    try:
        result = build(
            spec.table,
            folder,
            smiles_column=spec.smiles,
            target_columns=[write_targets(spec.targets)],
            conformers=spec.conformers,
            conformer_method=spec.conformer_method,
            split=spec.split,
            seed=spec.split_seed,
            workers=workers,
            overwrite=True,
            missing_label=words.get("missing_label", ()),
            positive=words.get("positive", ()),
            negative=words.get("negative", ()),
            descriptors="descriptors" in featurizers,
            ecfp="ecfp" in featurizers,
        )
    except MoleblendError as error:
        raise MoleblendError(f"{spec.name} cannot be built: {error}") from error
    log.write_text("".join(f"{line}\n" for line in (*result.notes, *result.warnings)), encoding="utf-8")
    absent = [part for part in PARTS if part not in result.stores]
    if absent:
        raise MoleblendError(
            f"{spec.name}: split {spec.split} gives no {' and no '.join(absent)} part; choose another split"
        )


def _scaffold_sizes(folder: Path) -> dict[str, int]:
    from moleblend_plugin.chem.identity.scaffold import scaffold_of
    from moleblend_plugin.data.store.reader import MoleculeStore

    scaffolds = {
        (part, record.row_id): scaffold_of(record.smiles)
        for part in PARTS
        for record in MoleculeStore(folder / f"{part}.lmdb")
    }
    sizes = Counter(scaffolds.values())
    return {row: sizes[scaffold] for (part, row), scaffold in scaffolds.items() if part == "test"}


def _shared(folder: Path) -> dict[str, dict[str, int]]:
    from moleblend_plugin.data.store.reader import MoleculeStore
    from moleblend_plugin.splits.report import read_identities, split_report

    stores = {part: MoleculeStore(folder / f"{part}.lmdb") for part in PARTS}
    tasks = tuple(stores["test"].meta.target_names)
    report = split_report({part: read_identities(store) for part, store in stores.items()}, tasks)
    found = {}
    for part in PARTS[:-1]:
        pair = report["pairs"][f"{part}-test"]
        found[part] = {
            "molecules": pair["duplicates"]["groups"],
            "conflicts": pair["conflicts"]["groups"],
            "scaffolds": pair["scaffolds"]["achiral"]["shared"],
        }
    return found


def _read_about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}
