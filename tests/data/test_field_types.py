"""Types of samples and batches are the schema's tables, so that a wrong name of a field is a type error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mypy import api

from moleblend_plugin import schema
from moleblend_plugin.data.batches.collate import Batch, Targets, collate
from moleblend_plugin.data.samples.blend import Sample
from moleblend_plugin.schema import (
    HEAD_FIELDS,
    INPUT_FIELDS,
    PROPERTY_FIELDS,
    TARGET_FIELDS,
    VIEW_FIELDS,
    Field,
)
from tests.invariants import samples

ROOT = Path(__file__).resolve().parents[2]
TABLES = {
    "INPUT": INPUT_FIELDS,
    "HEAD": HEAD_FIELDS,
    "TARGET": TARGET_FIELDS,
    "PROPERTY": PROPERTY_FIELDS,
    "VIEW": VIEW_FIELDS,
}


@pytest.mark.parametrize(("name", "table"), TABLES.items())
def test_every_table_has_its_type(name: str, table: dict[str, Field]) -> None:
    typed: Any = getattr(schema, f"{name.title()}Fields")
    assert list(typed.__annotations__) == list(table)


def test_samples_and_batches_hold_what_their_types_say() -> None:
    (sample,) = samples([5])
    assert set(sample) < set(Sample.__annotations__)
    assert set(Sample.__annotations__) == {"index"}.union(*TABLES.values())
    batch = collate([sample])
    assert set(batch) == set(Batch.__annotations__) - {"views"}
    assert set(Targets.__annotations__) == {*TARGET_FIELDS, *PROPERTY_FIELDS}
    assert set(batch["target"]) == set(TARGET_FIELDS) - {"descriptors", "ecfp"}  # this run learns none


def test_a_wrong_name_is_a_type_error(tmp_path: Path) -> None:
    use = tmp_path / "use.py"
    use.write_text(
        "from typing import Unpack\n"
        "from moleblend_plugin.schema import InputFields\n"
        "def encode(**net_input: Unpack[InputFields[int]]) -> int:\n"
        "    return net_input['spd']\n"
        "def forward(given: InputFields[int]) -> int:\n"
        "    return encode(**given) + given['sdp']\n",
        encoding="utf-8",
    )
    source = ROOT / "moleblend_plugin" / "schema.py"
    options = ["--follow-imports=skip", "--config-file=", f"--cache-dir={tmp_path / 'cache'}"]
    found, told, _ = api.run([*options, "--explicit-package-bases", str(source), str(use)])
    errors = [
        line for line in found.splitlines() if "use.py" in line
    ]  # NumPy was skipped: schema.py has some
    assert len(errors) == 1, found + told
    assert 'use.py:6: error: TypedDict "InputFields[int]" has no key "sdp"' in errors[0]
