"""Hooks of mkdocs: pages from outside docs/, and links that hold on the site (see pages.py)."""

from __future__ import annotations

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tools.site import pages


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and pictures that lie elsewhere in the repository."""
    for source, place in pages.repository_files().items():
        path = pages.ROOT / source
        if path.suffix == ".md":
            files.append(File.generated(config, place, content=path.read_text(encoding="utf-8")))
        else:
            files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make the page's links hold on the site."""
    place = page.file.src_uri
    source = {place: source for source, place in pages.repository_files().items()}.get(place, f"docs/{place}")
    try:
        text = pages.site_markdown(markdown, source, place, config.repo_url or "")
    except FileNotFoundError as error:
        raise PluginError(str(error)) from error
    return pages.lists_apart(text)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in what docstrings leave open."""
    if page.file.src_uri.startswith("reference/"):
        for name, value in pages.docstring_values().items():
            html = html.replace(name, value)
    return html


def on_post_build(config: MkDocsConfig) -> None:
    """Take from the theme's script the addresses of what it would load for old browsers and for mermaid."""
    for path in Path(config.site_dir).glob("assets/javascripts/*.js"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(pages.FOREIGN_SCRIPTS, "not-loaded/"), encoding="utf-8")
