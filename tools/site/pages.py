"""Links of the documentation: from where a file lies in the repository to where it lies on the site."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
EXAMPLES: Final = tuple(
    sorted(
        path.parent.name
        for path in (ROOT / "examples").glob("*/README.md")
        if path.parent.name != "notebooks"
    )
)

TAKEN: Final = {  # files outside docs/ that are pages or pictures of the site, too
    **{f"examples/{name}/README.md": f"results/{name}.md" for name in EXAMPLES},
    **{
        path.relative_to(ROOT).as_posix(): f"results/{path.parent.name}_{path.name}"
        for path in sorted((ROOT / "examples").glob("*/*.png"))
    },
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "README.md": "index.md",
}
"""By path in the repository: path on the site. README.md is only a target: index.md is a page of its own."""

FOREIGN_SCRIPTS: Final = "https://unpkg.com/"
"""Where the theme's script would load polyfills and mermaid from; our pages need neither."""

_FENCE = r"^(?P<fence>`{3,})[^\n]*\n.*?^(?P=fence)[^\n]*$"
_TICKS = r"(?P<ticks>(?<!`)`+)(?!`)(?:(?!\n[ \t]*\n).)+?(?<!`)(?P=ticks)(?!`)"
_CODE = re.compile(f"{_FENCE}|{_TICKS}", re.MULTILINE | re.DOTALL)
_PRIVATE: Final = 0xF0000
_LIST_AT_ONCE = re.compile(r"(?m)^(?![-*|#>\s]|\d+\. )(.+)\n(?=(?:[-*]|\d+\.) )")
_LINK = re.compile(r"(?P<text>!?\[(?:[^\[\]]|\[[^\]]*\])*\])\((?P<target>[^()\s]+)\)")


def place_of(repository_path: str) -> str | None:
    """Where a file of the repository lies on the site; ``None`` if it is no part of it."""
    if repository_path.startswith("docs/"):
        return repository_path.removeprefix("docs/")
    folder = posixpath.join(repository_path, "README.md")
    return TAKEN.get(repository_path) or TAKEN.get(folder)


def rewritten(target: str, page: str, site_page: str, repository_url: str) -> str | None:
    """The target of a link of ``page`` (path in the repository), for the site; ``None``: it has none there.

    Raises:
        FileNotFoundError: the repository has no such file.
    """
    if re.match(r"[a-z]+:|#", target):
        return target
    path, _, anchor = target.partition("#")
    wanted = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
    if not (ROOT / wanted).exists():
        raise FileNotFoundError(f"{page} links to {target}, which is not there")
    place = place_of(wanted)
    if place is not None:
        found = posixpath.relpath(place, posixpath.dirname(site_page) or ".")
        return f"{found}#{anchor}" if anchor else found
    return f"{repository_url.rstrip('/')}/blob/HEAD/{wanted}" if repository_url else None


def outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """``markdown`` with ``change`` applied while each piece of code in it is one private character."""
    hidden: list[str] = []

    def hide(found: re.Match[str]) -> str:
        hidden.append(found[0])
        return chr(_PRIVATE + len(hidden) - 1)

    text = change(_CODE.sub(hide, markdown))
    return re.sub(
        f"[{chr(_PRIVATE)}-{chr(_PRIVATE + len(hidden))}]",
        lambda found: hidden[ord(found[0]) - _PRIVATE],
        text,
    )


def site_markdown(markdown: str, page: str, site_page: str, repository_url: str = "") -> str:
    """A page's text with links that hold on the site.

    Args:
        markdown: its text.
        page: its path in the repository.
        site_page: its path on the site.
        repository_url: where the repository can be read; empty: a link to a file that the site lacks becomes
            its text.
    """

    def link(found: re.Match[str]) -> str:
        target = rewritten(found["target"], page, site_page, repository_url)
        if target is not None:
            return f"{found['text']}({target})"
        text = found["text"][1:-1]
        named = posixpath.normpath(posixpath.join(posixpath.dirname(page), found["target"].partition("#")[0]))
        return text if text in named else f"{text} (`{named}`)"

    return outside_code(markdown, lambda text: _LINK.sub(link, text))


def lists_apart(markdown: str) -> str:
    """A blank line before every list that follows a paragraph: Python-Markdown needs it, GitHub does not."""
    return outside_code(markdown, lambda text: _LIST_AT_ONCE.sub(r"\1\n\n", text))


def repository_files() -> Mapping[str, str]:
    """The files of :data:`TAKEN` that become files of the site."""
    return {source: place for source, place in TAKEN.items() if source != "README.md"}


def docstring_values() -> dict[str, str]:
    """What two docstrings get when their modules are imported, by placeholder."""
    from moleblend_plugin.schema import RELATIONS

    tree = ast.parse((ROOT / "moleblend_plugin" / "losses" / "pretrain.py").read_text(encoding="utf-8"))
    numbers = {
        node.target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    return {
        "{weight}": f"{numbers['DESCRIPTOR_WEIGHT']}",
        "{ecfp}": f"{numbers['ECFP_WEIGHT']}",
        "{relations}": ", ".join(row.word for row in RELATIONS),
    }
