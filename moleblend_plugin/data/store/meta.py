"""What a store knows about itself: the metadata record, the keys, the settings fingerprint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

import msgpack

from moleblend_plugin.data.store.checksum import unseal
from moleblend_plugin.schema import READ_VERSIONS

META_KEY: Final = b"__meta__"
N_ATOMS_KEY: Final = b"__n_atoms__"


@dataclass(frozen=True, slots=True)
class StoreMeta:
    """What a store knows about itself.

    Attributes:
        count: number of molecules.
        schema_version: version of the records (one of ``schema.READ_VERSIONS``).
        fingerprint: :func:`fingerprint` of ``settings``.
        settings: everything that determined the content, plain values.
        sources: sha256 of every input file, by file name.
        rejected: input rows of the whole build that became no molecule.
        rejected_by_reason: the same, by reason.
        target_names: names of the columns of ``MoleculeRecord.targets``.
        split: "train", "valid" or "test".
        created: time of writing, ISO 8601, UTC.
        package_version: version of this package that wrote the store.
    """

    count: int
    schema_version: int
    fingerprint: str
    settings: dict[str, Any]
    sources: dict[str, str]
    rejected: int
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    target_names: tuple[str, ...] = ()
    split: str = "train"
    created: str = ""
    package_version: str = ""

    def to_bytes(self) -> bytes:
        """Msgpack of the fields."""
        packed: bytes = msgpack.packb(asdict(self), use_bin_type=True)
        return packed

    @classmethod
    def from_value(cls, value: bytes) -> StoreMeta:
        """Read what is stored under ``META_KEY``, of this or another schema (the first had no checksum).

        Raises:
            ValueError: it is damaged.
        """
        try:
            content = unseal(META_KEY, value)
        except ValueError:
            meta = cls.from_bytes(value)
            if meta.schema_version in READ_VERSIONS:
                raise
            return meta
        return cls.from_bytes(content)

    @classmethod
    def from_bytes(cls, value: bytes) -> StoreMeta:
        """Read back; ``ValueError`` when ``value`` is no metadata of this or another schema."""
        raw = msgpack.unpackb(value, raw=False)
        if not isinstance(raw, dict) or not isinstance(raw.get("schema_version"), int):
            raise ValueError("no schema_version in it")
        known = {item.name for item in fields(cls)}
        if raw["schema_version"] in READ_VERSIONS and set(raw) != known:
            raise ValueError(f"fields {sorted(known ^ set(raw))} missing or unknown")
        blank = dict.fromkeys(known) | {name: raw[name] for name in known & set(raw)}
        return cls(**(blank | {"target_names": tuple(blank["target_names"] or ())}))


def fingerprint(settings: dict[str, Any]) -> str:
    """sha256 (hex) of the canonical JSON of ``settings``: equal settings, equal fingerprint."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def record_key(index: int) -> bytes:
    """Key of record ``index``; byte order of keys is the order of indices."""
    return b"%010d" % index
