"""Draws docs/rooms.svg from the table of tests/test_architecture.py: python tools/draw_rooms.py.

A room stands above all that it imports. Text stands on filled boxes: it reads on light and dark pages.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import wrap

from draw_flow import INK, box, text

ROOT = Path(__file__).resolve().parents[1]
WIDTH, GAP, LINE = 980, 10, 15
LETTER = 6.2
"""Width of a small letter, for wrapping."""
Table = Mapping[str, set[str]]


def floors(table: Table, ground: set[str]) -> list[list[str]]:
    """Rooms by floor, from the ground up: one floor above the highest room that they import."""
    height: dict[str, int] = {}

    def rise(room: str) -> int:
        if room not in height:
            height[room] = 1 + max((rise(below) for below in table[room] - ground), default=0)
        return height[room]

    rooms = [room for room in table if room not in ground and room != "__main__"]
    return [[room for room in rooms if rise(room) == floor] for floor in range(1, 1 + max(map(rise, rooms)))]


def picture(table: Table, ground: set[str]) -> str:
    """The whole picture as SVG text."""
    parts, y = [], GAP
    for rooms in reversed(floors(table, ground)):
        width = (WIDTH - GAP * (len(rooms) - 1)) / len(rooms)
        below = {room: ", ".join(other for other in table if other in table[room] - ground) for room in rooms}
        lines = {
            room: wrap(f"imports {names}" if names else "", int(width / LETTER))
            for room, names in below.items()
        }
        tall = 36 + LINE * max(2, *map(len, lines.values()))
        for place, room in enumerate(rooms):
            x = place * (width + GAP)
            parts.append(box(round(x, 1), y, round(width, 1), tall))
            middle = round(x + width / 2, 1)
            parts.append(text(middle, y + 24, room or "moleblend_plugin", size=15, fill=INK, weight=600))
            parts += [
                text(middle, y + 42 + LINE * line, words, size=12) for line, words in enumerate(lines[room])
            ]
        y += tall + GAP
    parts.append(box(0, y, WIDTH, 52))
    parts.append(text(WIDTH / 2, y + 22, "ground floor, for all rooms", size=15, fill=INK, weight=600))
    names = ", ".join(room for room in table if room in ground)
    parts.append(text(WIDTH / 2, y + 41, names, size=12))
    height = y + 52 + GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="-apple-system, Segoe UI, Helvetica, Arial, sans-serif" role="img">'
        "<title>Rooms of moleblend_plugin: each imports only rooms below it</title>\n"
        + "\n".join(parts)
        + "</svg>\n"
    )


def rooms() -> str:
    """The picture of this package."""
    sys.path.insert(0, str(ROOT))
    from tests.test_architecture import FLOORS, GROUND

    return picture(FLOORS, GROUND)


if __name__ == "__main__":
    target = ROOT / "docs" / "rooms.svg"
    target.write_text(rooms(), encoding="utf-8")
    print(f"wrote {target}")
