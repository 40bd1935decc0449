"""What the docs show is true: the code of each page runs, and so do the notebooks."""

import os
import re
import shlex
import sys
from types import ModuleType

import nbformat
import pytest
from scripts.site.notebook_pages import execute
from tests.command import motionbeat
from tests.conftest import shorten
from tests.dancing import train_shortly

from motionbeat import processes
from motionbeat.benchmarks.results_page import ROOT
from motionbeat.data_modules import GrooveBox

DOCS = ROOT / "docs"
PAGES = [DOCS / "quick_start.md", *sorted((DOCS / "howto").glob("*.md"))]
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
BLOCK = re.compile(r'^```(\w+)(?: title="(.+?)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SMALL = {"styles": ["house", "waltz"], "seconds": 9.0, "train": 1, "validation": 1, "test": 1}
CACHED = ("bench", "embed", "list")  # commands that are told of the cache by an option


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def small(tmp_path, monkeypatch, cache):
    """A folder of its own, a groovebox of six short pieces, and a few steps of training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("MOTIONBEAT_CACHE", str(cache))
    monkeypatch.delenv("MOTIONBEAT_DATA", raising=False)
    defaults = GrooveBox.__init__.__kwdefaults__
    monkeypatch.setattr(GrooveBox.__init__, "__kwdefaults__", defaults | SMALL)
    monkeypatch.setattr(processes, "cpu_count", lambda: 1)  # others would not know of all this
    train_shortly(monkeypatch)
    shorten(monkeypatch)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs_as_written(page, small, monkeypatch):
    """Files are written, Python is executed in one namespace, and commands are run in order."""
    blocks = BLOCK.findall(page.read_text())
    assert {language for language, _, _ in blocks} in ({"python", "sh"}, {"sh"})
    code_file = small / "page.py"  # where the source of its classes is found
    module = ModuleType(f"page_{page.stem}")
    module.__file__ = str(code_file)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for language, title, code in blocks:
        if title:
            (small / title).write_text(code)
        elif language == "python":
            with code_file.open("a") as file:
                file.write(code)
            exec(compile(code, code_file, "exec"), vars(module))
        else:
            for line in code.splitlines():
                run(line, monkeypatch)


def run(line, patch):
    """Run a line of a shell: ``export NAME=VALUE``, or a command of the project."""
    program, *words = shlex.split(line)
    if program == "export":
        patch.setenv(*words[0].split("="))
        return
    assert program == "motionbeat"
    told = ["--cache", os.environ["MOTIONBEAT_CACHE"]] if words[0] in CACHED else []
    ended = motionbeat(*words, *told)
    assert not ended.code, f"{line}\n{ended.printed}{ended.said}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "MOTIONBEAT_CACHE": str(tmp_path)}
    notebook = execute(path, tmp_path, **environment)
    assert any(cell.get("outputs") for cell in notebook.cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
