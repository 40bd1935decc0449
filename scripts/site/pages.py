"""Pages and pictures of the site that lie outside ``docs/``, and the links that lead there.

The site has the folders of the repository, with ``docs/`` at the top. Links are written as the
repository has them, so that they also work where the Markdown files themselves are read.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
SHOWN = (
    "results/README.md",
    "results/*.png",
    "results/*.gif",
    "src/motionbeat/pretrained/*.md",
    "CONTRIBUTING.md",
)
"""What of the repository is shown beside ``docs/``."""

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add what is shown beside ``docs/``."""
    for pattern in SHOWN:
        for path in sorted(ROOT.glob(pattern)):
            uri = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Let the links of a page lead to pages of the site."""
    shown = {file.src_uri for file in files}
    return linked(markdown, page.file.src_uri, shown)


def linked(markdown: str, uri: str, shown: set[str]) -> str:
    """Rewrite the links of a page that lead out of ``docs/`` or to a notebook.

    A file of the repository that is not shown is named instead, as nothing can be linked.

    Args:
        markdown: the page.
        uri: its place in the site.
        shown: places of all files of the site.
    """
    place = uri if (ROOT / uri).is_file() else f"docs/{uri}"

    def link(found: re.Match[str]) -> str:
        mark, text, target, anchor = found[1], found[2], found[3], found[4] or ""
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(place), target))
        if (ROOT / wanted).is_dir():
            wanted += "/README.md"
        if not (ROOT / wanted).is_file():
            return found[0]  # MkDocs says what is wrong
        there = wanted.removeprefix("docs/")
        if there.endswith(".ipynb"):
            there = there.removesuffix(".ipynb") + ".md"
        if there in shown:
            return f"{mark}[{text}]({posixpath.relpath(there, posixpath.dirname(uri))}{anchor})"
        return text if text.strip("`") == wanted else f"{text} (`{wanted}`)"

    return _LINK.sub(link, markdown)
