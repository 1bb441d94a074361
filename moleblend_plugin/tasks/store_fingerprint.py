"""Which data a run reads, identified by content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from moleblend_plugin.data.store.reader import MoleculeStore


def store_fingerprint(path: Path) -> str:
    """sha256 (hex) of what a store says about itself: settings, sources, counts and sizes of molecules.

    Two builds of the same files with the same settings have the same one, wherever and whenever they ran.

    Raises:
        MoleblendError: there is no such store.
    """
    store = MoleculeStore(path)
    meta = store.meta
    facts = {
        "settings": meta.fingerprint,
        "sources": meta.sources,
        "count": meta.count,
        "schema": meta.schema_version,
        "targets": list(meta.target_names),
        "sizes": hashlib.sha256(store.n_atoms.astype("<u2").tobytes()).hexdigest(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
