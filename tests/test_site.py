"""The documentation site: strict, without anything from elsewhere, and no link that leads nowhere."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tools.site import pages

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers")
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "object": "data"}
LOADING_RELATIONS = {
    "stylesheet",
    "icon",
    "preload",
    "prefetch",
    "modulepreload",
    "preconnect",
    "dns-prefetch",
    "manifest",
}


class Parsed(HTMLParser):
    """What a page loads, where it links to, and what can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        self.places |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag in LOADED and LOADED[tag] in found:
            self.loads.append(found[LOADED[tag]])
        if tag == "link" and set(found.get("rel", "").split()) & LOADING_RELATIONS:
            self.loads.append(found.get("href", ""))
        if tag == "a" and "href" in found:
            self.links.append(found["href"])

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install 'moleblend_plugin[docs]'")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return out


@pytest.fixture(scope="module")
def parsed(site: Path) -> dict[Path, Parsed]:
    return {path: Parsed(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def test_every_page_is_there(parsed: dict[Path, Parsed], site: Path) -> None:
    for name in (
        "index",
        "tutorial",
        "faq",
        "method",
        "howto/my_csv",
        "reference/losses",
        "results/20_moleculenet",
    ):
        assert site / f"{name}.html" in parsed
    assert (site / "flow.svg").is_file()
    assert "flow.svg" in parsed[site / "index.html"].loads


def test_nothing_is_loaded_from_elsewhere(parsed: dict[Path, Parsed], site: Path) -> None:
    outside = {
        str(path.relative_to(site)): [target for target in page.loads if urlsplit(target).netloc]
        for path, page in parsed.items()
    }
    assert {name: targets for name, targets in outside.items() if targets} == {}
    scripts = [path.read_text(encoding="utf-8") for path in site.rglob("*.js")]
    assert [script[:40] for script in scripts if pages.FOREIGN_SCRIPTS in script] == []
    assert not any("data-md-component=source" in path.read_text(encoding="utf-8") for path in parsed)
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert len(styles) > 2
    for style in styles:
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import [\"']?(?:https?:)?//", style)


def test_links_lead_somewhere(parsed: dict[Path, Parsed], site: Path) -> None:
    broken = []
    for path, page in parsed.items():
        if path.name == "404.html":  # its links are absolute: it may be shown for any address
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            if not target.is_file() or (anchor and target in parsed and anchor not in parsed[target].places):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert sum(len(page.links) for page in parsed.values()) > 1000
    assert broken == []


def test_docstrings_are_whole(parsed: dict[Path, Parsed], site: Path) -> None:
    for path in sorted((site / "reference").glob("*.html")):
        assert re.findall(r"\{[a-z_]+\}", "".join(parsed[path].texts)) == [], path.name


def test_lists_and_tables_are_none_of_the_text(parsed: dict[Path, Parsed]) -> None:
    """Python-Markdown wants a blank line where GitHub does not."""
    left = [
        (path.name, text.strip()[:60])
        for path, page in parsed.items()
        for text in page.texts
        if re.search(r"^\|[-| ]+\|$|\n- \S.*\n- ", text, re.MULTILINE) and "```" not in text
    ]
    assert [(name, text) for name, text in left if not text.startswith(("---", "diff"))] == []


def messages() -> Iterator[str]:
    """Every text of the package's functions, with ``…`` for what is filled in."""
    for path in sorted((ROOT / "moleblend_plugin").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_the_errors_that_are_explained_are_errors_of_ours() -> None:
    everything = re.sub(r"\s+", " ", "\n".join(messages()))
    page = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^### `(.*)`$", page, re.MULTILINE)
    assert len(quoted) > 15
    for message in quoted:
        pieces = [piece.strip(" ,:'()") for piece in message.split("…")]
        told = [piece for piece in pieces if len(piece) > 3]
        assert told, message
        assert [piece for piece in told if piece not in everything] == [], message


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ("store.md#a", "store.md#a"),
        ("#here", "#here"),
        ("https://arxiv.org/abs/2307.06235", "https://arxiv.org/abs/2307.06235"),
        ("../CONTRIBUTING.md", "project/contributing.md"),
        ("../examples/22_explain", "results/22_explain.md"),
        ("../examples/40_structure_aware/README.md#drawings", "results/40_structure_aware.md#drawings"),
        ("../examples/22_explain/crippen.py", None),
    ],
)
def test_a_link_of_the_repository_is_one_of_the_site(link: str, found: str | None) -> None:
    assert pages.rewritten(link, "docs/x.md", "x.md", "") == found


def test_links_between_pages_of_other_folders() -> None:
    page, place = "examples/20_moleculenet/README.md", "results/20_moleculenet.md"
    assert pages.rewritten("../../docs/method.md#2-inputs", page, place, "") == "../method.md#2-inputs"
    assert pages.rewritten("../40_structure_aware", page, place, "") == "40_structure_aware.md"
    assert pages.rewritten("run.sh", page, place, "https://host/us") == (
        "https://host/us/blob/HEAD/examples/20_moleculenet/run.sh"
    )
    with pytest.raises(FileNotFoundError, match=r"links to nowhere\.md"):
        pages.rewritten("nowhere.md", page, place, "")


def test_code_is_left_alone_and_a_file_that_the_site_lacks_becomes_text() -> None:
    text = "See [run.sh](run.sh), [`take.py`](take.py), [method](../../docs/method.md) and `[a](b)`.\n\n"
    text += "```\n[c](d)\n```\n"
    assert pages.site_markdown(text, "examples/10_pretrain_qm9/README.md", "results/10_pretrain_qm9.md") == (
        "See run.sh, `take.py` (`examples/10_pretrain_qm9/take.py`), [method](../method.md) and `[a](b)`.\n\n"
        "```\n[c](d)\n```\n"
    )


def test_a_list_gets_its_blank_line() -> None:
    assert pages.lists_apart("Text:\n- one\n- two\n\n| a |\n```\nx\n- y\n```\n") == (
        "Text:\n\n- one\n- two\n\n| a |\n```\nx\n- y\n```\n"
    )
