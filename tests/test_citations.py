"""Whatever a docstring, a comment or a page cites by number, by heading or by name is there.

Four forms: "method 4a" and "method 6.12" are sections and points of docs/method.md; "module B" is a part of
docs/structure_aware.md; a page's name with a heading in quotes; "section 3.2" belongs to a publication that
is named beside it, or to the page itself. Pages also name modules and files, in backticks.
"""

from __future__ import annotations

import ast
import importlib
import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("moleblend_plugin", "tests", "tools", "examples", "docs")
FILES = [
    path
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".md", ".sh") and path != Path(__file__)
] + sorted(ROOT.glob("*.md"))

NUMBER = r"\d+(?:\.\d+)?[a-z]?\b"
METHOD = re.compile(rf"\bmethod ({NUMBER}(?:(?:, (?:and )?| and | to ){NUMBER})*)", re.IGNORECASE)
SECTION = re.compile(rf"(?:\bsections? |§ ?)({NUMBER})", re.IGNORECASE)
UNSEEN = re.compile(
    r"\bthe spec\b|\bspec(?:ification)?(?:'s)? (?:section )?\d|\(spec: (?!\w+Spec)", re.IGNORECASE
)
HEADING = re.compile(r'`{0,2}(docs/\w+\.md)`{0,2},\s+"([^"]+)"')
MODULE = re.compile(r"\b[Mm]odule ([A-Z])\b")
ACCEPTANCE = re.compile(r"\bacceptance tests? (\d+)(?: and (\d+))?")
ANCHOR = re.compile(r"\]\(([\w./-]*\.md)?#([\w-]+)\)")
PUBLICATION = re.compile(r"et al\.|ICLR|arXiv|paper")


def headings(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [line.lstrip("# ") for line in text.splitlines() if re.match(r"#+ ", line)]


@lru_cache(maxsize=1)
def method_numbers() -> set[str]:
    """Sections of docs/method.md ("4"), their lettered parts ("4a") and the points of section 6 ("6.12")."""
    page = ROOT / "docs" / "method.md"
    sections = {heading.split(".")[0] for heading in headings(page)[1:]}
    numbers, current = set(sections), ""
    for line in page.read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"## (\d+)\.", line):
            current = heading[1]
        if point := re.match(r"(\d+)\. ", line):
            numbers.add(f"{current}.{point[1]}")
        numbers.update(part for part in re.findall(r"\((\d+[a-z])\)", line) if part[0] == current)
    return numbers


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def unresolved(text: str, path: Path) -> list[str]:
    """Citations of a file that lead nowhere."""
    flat = re.sub(r"\s+(?:#\s+)?", " ", text)
    missing = []
    known = method_numbers()
    for cited in METHOD.findall(flat):
        missing += [f"method {number}" for number in re.findall(NUMBER, cited) if number not in known]
    own = {heading.split(".")[0] for heading in headings(path)} if path.suffix == ".md" else set()
    for found in SECTION.finditer(flat):
        beside = flat[max(0, found.start() - 120) : found.end() + 40]
        if not (PUBLICATION.search(beside) or "docs/method.md" in beside or found[1] in own):
            missing.append(found[0])
    missing += [found[0] for found in UNSEEN.finditer(flat)]
    for page, heading in HEADING.findall(flat):
        if not (ROOT / page).is_file() or heading not in headings(ROOT / page):
            missing.append(f'{page}, "{heading}"')
    structure = (ROOT / "docs" / "structure_aware.md").read_text(encoding="utf-8")
    missing += [
        f"module {letter}" for letter in MODULE.findall(flat) if f"**Module {letter}**" not in structure
    ]
    listed = re.findall(r"^\| (\d+) ", structure, re.M)
    for found in ACCEPTANCE.finditer(flat):
        missing += [found[0] for number in found.groups() if number and number not in listed]
    for page, anchor in ANCHOR.findall(text) if path.suffix == ".md" else ():
        target = path.parent / page if page else path
        if anchor not in map(slug, headings(target)):
            missing.append(f"{page}#{anchor}")
    return missing


def test_what_is_cited_is_there() -> None:
    assert len(FILES) > 300
    found = {
        str(path.relative_to(ROOT)): unresolved(path.read_text(encoding="utf-8"), path) for path in FILES
    }
    assert {name: missing for name, missing in found.items() if missing} == {}


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("(method 4a), method 6.12 and Method 1 and 3", []),
        ("see method 9.", ["method 9"]),
        ("method 6.99: nothing", ["method 6.99"]),
        ("method 2 to 8", ["method 8"]),
        ("Yu et al., ICLR 2024, section 3.2", []),
        ("as section 7 says", ["section 7"]),
        ("values of the spec section 7", ["section 7", "the spec"]),
        ("(spec 6.1)", ["spec 6"]),
        ('docs/structure_aware.md, "The objective"', []),
        ('docs/structure_aware.md,\n    # "Objectives"', ['docs/structure_aware.md, "Objectives"']),
        ("acceptance test 40", ["acceptance test 40"]),
        ("Module A, then module C", ["module C"]),
    ],
)
def test_the_check_tells_what_leads_nowhere(text: str, missing: list[str]) -> None:
    assert unresolved(text, ROOT / "moleblend_plugin" / "x.py") == missing


PAGES = [path for path in FILES if path.suffix == ".md"] + sorted((ROOT / ".github").glob("*.md"))
DOTTED = re.compile(r"(?<![\w/.-])(moleblend_plugin(?:\.\w+)+)(?::([\w.]+))?")
MADE = re.compile(r"^# (moleblend_plugin/[\w/]+)\.py$", re.MULTILINE)
"""Files that a page shows whole, for its readers to make."""
ROOMS = "|".join(sorted(path.name for path in (ROOT / "moleblend_plugin").iterdir() if path.is_dir()))
PLACE = re.compile(
    r"`((?:[a-z0-9_-]+/)+[\w-]+\.(?:py|md|sh|toml|svg|yml)"
    rf"|(?:moleblend_plugin|tests|tools|examples|docs|{ROOMS})/[\w/]*)(?:::?\w+[^`]*)?`"
)
BASES = ("", "moleblend_plugin", "moleblend_plugin/tasks", "tests", "docs")
ELSEWHERE = ("data/mine", "data/my", "runs/", "findings/NAME.sh")  # a user's own folders


def exists(dotted: str, attribute: str) -> bool:
    """Whether a module, or what it holds, is there; ``attribute`` is what stands behind a colon."""
    parts, names = dotted.split("."), attribute.split(".") if attribute else []
    for split in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for name in [*parts[split:], *names]:
            if not hasattr(value, name):
                return False
            value = getattr(value, name)
        return True
    return False


def nowhere(text: str, page: Path) -> list[str]:
    """Modules, names and files that a page names and that are not there."""
    made = {name.replace("/", ".") for name in MADE.findall(text)}
    missing = [
        found[0]
        for found in DOTTED.finditer(text)
        if found[1] not in made and not exists(found[1].removesuffix(".py"), (found[2] or "").rstrip("."))
    ]
    bases = [page.parent, *(ROOT / base for base in BASES)]
    for found in PLACE.finditer(text):
        if not found[1].startswith(ELSEWHERE) and not any((base / found[1]).exists() for base in bases):
            missing.append(found[1])
    return missing


@pytest.mark.filterwarnings("ignore:moleblend_plugin.* is now:DeprecationWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_modules_and_files_that_a_page_names_exist(page: Path) -> None:
    assert nowhere(page.read_text(encoding="utf-8"), page) == []


def test_the_check_of_names_tells_good_from_bad() -> None:
    page = ROOT / "docs" / "x.md"
    good = (
        "`moleblend_plugin.metrics:rmse` `moleblend_plugin.data.rng` `tests/chem/` `models/blend/config.py`"
    )
    assert nowhere(good, page) == []
    bad = "`moleblend_plugin.metrics:rsme` `moleblend_plugin.data.gnr` `tests/kem/` `models/config.py`"
    assert nowhere(bad, page) == [
        "moleblend_plugin.metrics:rsme", "moleblend_plugin.data.gnr", "tests/kem/", "models/config.py",
    ]  # fmt: skip


STANDARD = ("gradient accumulation", "hard link", "kernel launch", "hyperparameter", "heartbeat", "resume")
HOMEMADE = re.compile(
    r"\btold\b|\bmanners\b|Python door|\bhanded over\b|\bgoes on\b|\bembedded host\b", re.IGNORECASE
)


HOMEMADE_IN_CODE = re.compile(
    rf"{HOMEMADE.pattern}|\b(?:tells?|telling|hears?|heard|mend(?:s|ed)?|anew|go on|going on)\b",
    re.IGNORECASE,
)


def shown_texts(source: str) -> list[str]:
    """First lines of docstrings, and every other text of several words: messages, help, headings."""
    tree = ast.parse(source)
    defined = (ast.Module, ast.ClassDef, ast.FunctionDef)
    documented = [node for node in ast.walk(tree) if isinstance(node, defined) and ast.get_docstring(node)]
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in alone]
    return [
        *((ast.get_docstring(node) or "").splitlines()[0] for node in documented),
        *(node.value for node in texts if isinstance(node.value, str) and " " in node.value),
    ]


def test_messages_and_docstrings_use_standard_words() -> None:
    found = {
        str(path.relative_to(ROOT)): [text for text in shown_texts(source) if HOMEMADE_IN_CODE.search(text)]
        for path in sorted((ROOT / "moleblend_plugin").rglob("*.py"))
        if (source := path.read_text(encoding="utf-8"))
    }
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_shown_texts_are_found() -> None:
    source = '"""First.\n\nSecond told."""\n\ndef f():\n    """Third."""\n    raise E(f"a {x} b", "one")\n'
    assert shown_texts(source) == ["First.", "Third.", "a ", " b"]


def test_pages_use_the_terms_that_readers_search_for() -> None:
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES if page.name != "options.md"}
    everything = " ".join(texts.values()).lower()
    assert [term for term in STANDARD if term not in everything] == []
    found = {str(page.relative_to(ROOT)): HOMEMADE.findall(text) for page, text in texts.items()}
    assert {page: words for page, words in found.items() if words} == {}
