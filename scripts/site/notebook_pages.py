"""The notebooks as pages, with the outputs of their cells.

A notebook is executed when it or the code of the project has changed, and kept in ``.cache``.
"""

import hashlib
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from mkdocs.structure.files import File, Files
from nbclient import NotebookClient
from nbconvert import MarkdownExporter
from nbconvert.filters import strip_ansi

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".cache" / "site" / "notebooks"
CODE = ("src", "tasks", "data_modules", "benchmarks")


def on_files(files: Files, config: Any) -> Files:
    """Add a page for every notebook, and the pictures that it shows."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        name = Path(file.src_uri).stem
        notebook = tidied(executed(ROOT / "docs" / file.src_uri))
        resources = {"output_files_dir": f"{name}_files"}
        page, found = MarkdownExporter().from_notebook_node(notebook, resources)
        note = f"*This page is [a notebook]({name}.ipynb), executed when the site was built.*\n\n"
        head, _, rest = page.partition("\n\n")
        uri = file.src_uri.removesuffix(".ipynb") + ".md"
        files.append(File.generated(config, uri, content=f"{head}\n\n{note}{rest}"))
        for output, content in found["outputs"].items():
            picture = f"{Path(file.src_uri).parent.as_posix()}/{output}"
            files.append(File.generated(config, picture, content=content))
    return files


def tidied(notebook: Any) -> Any:
    """A notebook with what its cells give, without progress, messages and colours of a terminal."""
    for cell in notebook.cells:
        cell.outputs = [one for one in cell.get("outputs", ()) if _is_result(one)]
        for output in cell.outputs:
            if output.output_type == "stream":
                output.text = strip_ansi(output.text)
    return notebook


def _is_result(output: Any) -> bool:
    if output.output_type == "stream":
        return bool(output.name == "stdout")
    return output.output_type == "execute_result" or "image/png" in output.data


def executed(path: Path) -> Any:
    """A notebook with its outputs."""
    digest = hashlib.sha256(path.read_bytes())
    for code in sorted(one for folder in CODE for one in (ROOT / folder).rglob("*.py")):
        digest.update(code.read_bytes())
    kept = KEPT / f"{path.stem}-{digest.hexdigest()[:16]}.ipynb"
    if not kept.is_file():
        cache = os.environ.get("MOTIONBEAT_CACHE", str(ROOT / ".cache" / "motionbeat"))
        notebook = execute(path, kept.parent, MOTIONBEAT_CACHE=cache)
        nbformat.write(notebook, kept)
    return nbformat.read(kept, as_version=4)


def execute(path: Path, folder: Path, **environment: str) -> Any:
    """Execute a notebook in a folder; an error in a cell is raised."""
    folder.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=600, startup_timeout=300, resources={"metadata": {"path": str(folder)}}
    )
    with TemporaryDirectory() as sockets:
        kernel = client.create_kernel_manager()
        kernel.transport, kernel.ip = "ipc", f"{sockets}/kernel"  # files, not open ports
        client.execute(env=os.environ | environment)
    return notebook
