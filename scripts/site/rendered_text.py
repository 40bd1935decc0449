"""What a page shows in place of formulas and of the roles in docstrings."""

import html
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from math_core import LatexToMathML
from mkdocs.structure.files import File, Files

FONT = Path(find_spec("ziamath").origin).parent / "fonts" / "STIXTwoMath-Regular.ttf"
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):<code>~?(.*?)</code>")
_TO_MATHML = LatexToMathML()


def on_files(files: Files, config: Any) -> Files:
    """Add the font of the formulas, which not every system has."""
    files.append(File.generated(config, f"fonts/{FONT.name}", abs_src_path=str(FONT)))
    return files


def on_page_content(content: str, **_: Any) -> str:
    """Write formulas in MathML, which browsers show without a script, and names as code."""
    return _ROLE.sub(r"<code>\1</code>", _FORMULA.sub(_mathml, content))


def _mathml(found: re.Match[str]) -> str:
    tag, formula = found[1], html.unescape(found[2])
    mathml = _TO_MATHML.convert_with_local_state(formula, displaystyle=tag == "div")
    return f'<{tag} class="arithmatex">{mathml}</{tag}>'
