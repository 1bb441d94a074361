"""HTML pages that need nothing else, for light and dark screens."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from moleblend_plugin.report.theme import Picture
from moleblend_plugin.version import __version__

STYLE: Final = """
:root { color-scheme: light dark; --paper: #fff; --ink: #24292f; --soft: #57606a; --line: #d8dee4;
        --good: #1a7f37; --bad: #b42318; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #0d1117; --ink: #e6edf3; --soft: #8d96a0; --line: #30363d;
          --good: #3fb950; --bad: #ff7b72; }
}
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
       max-width: 78rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: .2rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; }
p { color: var(--soft); margin-top: 0; }
ul.headlines { font-size: 1.05rem; padding-left: 1.2rem; }
img { max-width: 100%; height: auto; border: 1px solid var(--line); border-radius: 8px; }
div { overflow-x: auto; }
table { border-collapse: collapse; margin: 1.2rem 0; font-variant-numeric: tabular-nums; width: 100%; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tbody th { font-weight: 400; }
.better { color: var(--good); font-weight: 600; }
.worse { color: var(--bad); font-weight: 600; }
small { color: var(--soft); }
"""


def html_page(title: str, intro: str, parts: Iterable[str], note: str, style: str = "") -> str:
    """A whole page.

    Args:
        title: plain text, the heading too.
        intro: plain text below it.
        parts: HTML of what follows.
        note: plain text, small, at the end; what made the page follows it.
        style: CSS of what this page has besides.
    """
    body = "\n".join(part for part in parts if part)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}{style}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p>{escape(intro)}</p>
{body}
<p><small>{escape(note)} Made by moleblend_plugin {__version__}.</small></p>
</body>
</html>
"""


def html_picture(picture: Picture) -> str:
    """HTML of a picture, which the page itself holds."""
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{_data_uri(picture.dark)}">'
        f'<img src="{_data_uri(picture.light)}" alt="{escape(picture.text)}"></picture>'
    )


def html_table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """HTML of a table.

    Args:
        caption: plain text.
        header: plain text.
        rows: HTML of the cells; the first of a row names it.
    """
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f"<div><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
