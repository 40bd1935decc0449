"""What a page shows in place of formulas and of the roles in docstrings."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):<code>~?(.*?)</code>")


def on_page_content(content: str, **_: Any) -> str:
    """Write formulas in MathML, which browsers show without a script, and names as code."""
    return _ROLE.sub(r"<code>\1</code>", _FORMULA.sub(_mathml, content))


def _mathml(found: re.Match[str]) -> str:
    display = "inline" if found[1] == "span" else "block"
    return convert(html.unescape(found[2]), display=display)
