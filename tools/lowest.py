"""The lowest versions that pyproject.toml allows, as constraints of pip: python tools/lowest.py > lowest.txt.

Of the package and of its extras that add features (`FEATURES`); tests and linters may be new.
`--without torch` leaves a package out, for machines that have no build of it.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Collection
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
FEATURES = ("tensorboard", "parquet", "serve", "tune", "cluster")


def lowest(pyproject: str, without: Collection[str] = ()) -> list[str]:
    """``name==version`` of each requirement ``name>=version``.

    Raises:
        ValueError: a requirement has another form.
    """
    project = tomllib.loads(pyproject)["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *(line for feature in FEATURES for line in extras[feature])]
    found = []
    for line in needed:
        parts = re.fullmatch(r"([\w-]+)>=([\w.]+)", line)
        if parts is None:
            raise ValueError(f"pyproject.toml: {line!r} is not of the form name>=version")
        if parts[1] not in without:
            found.append(f"{parts[1]}=={parts[2]}")
    return found


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", nargs="+", default=[], metavar="NAME", help="packages to leave out")
    print("\n".join(lowest(PYPROJECT.read_text(encoding="utf-8"), parser.parse_args().without)))


if __name__ == "__main__":
    main()
