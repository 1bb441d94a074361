"""``split.json``: the row ids of every part, and their checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from moleblend_plugin.chem.convert import TOOLKIT
from moleblend_plugin.schema import PARTS

SPLIT_LIST: Final = "split.json"
EXCLUDED: Final = "excluded"


def write_split_list(
    path: Path, method: str, settings: Mapping[str, Any], row_ids: Callable[[str], Iterable[str]]
) -> str:
    """Write the row ids of every part in their order, and their sha256.

    The hash of a part is over its row ids, each followed by a line feed; the hash of the split is over the
    lines ``PART HASH`` of train, valid and test.

    Args:
        path: the file.
        method: of the split, in a word.
        settings: what decided beside the molecules, plain values.
        row_ids: gives those of a part, or of ``EXCLUDED``, from the start each time; nothing is held in
            memory.

    Returns:
        The hash of the split.
    """
    facts: dict[str, dict[str, Any]] = {}
    for part in (*PARTS, EXCLUDED):
        count, digest = 0, hashlib.sha256()
        for row_id in row_ids(part):
            count += 1
            digest.update(f"{row_id}\n".encode())
        facts[part] = {"rows" if part == EXCLUDED else "molecules": count, "sha256": digest.hexdigest()}
    lines = "".join(f"{part} {facts[part]['sha256']}\n" for part in PARTS)
    head: dict[str, Any] = {
        "method": method,
        "settings": dict(settings),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
        "toolkit": TOOLKIT,
    }
    with path.open("w", encoding="utf-8") as out:

        def write(part: str) -> None:
            out.write(f'"{part}": {json.dumps(facts[part])[:-1]}, "row_ids": [')
            for number, row_id in enumerate(row_ids(part)):
                out.write((", " if number else "") + json.dumps(row_id))
            out.write("]}")

        out.write(json.dumps(head, indent=2)[:-2] + ',\n  "parts": {')
        for part in PARTS:
            out.write("\n    " if part == PARTS[0] else ",\n    ")
            write(part)
        out.write("\n  },\n  ")
        write(EXCLUDED)
        out.write("\n}\n")
    return str(head["sha256"])
