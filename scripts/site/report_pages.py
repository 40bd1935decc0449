"""The report of ``motionbeat report`` as a part of the site, in the folder ``report``."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / ".cache" / "site" / "report"


def on_files(files: Files, config: Any) -> Files:
    """Make the report of the committed records and add its files."""
    shutil.rmtree(REPORT, ignore_errors=True)
    options = ("--results", ROOT / "results", "--out", REPORT)
    subprocess.run([sys.executable, "-m", "motionbeat", "report", *options], check=True)
    for path in sorted(path for path in REPORT.rglob("*") if path.is_file()):
        uri = f"report/{path.relative_to(REPORT).as_posix()}"
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files
