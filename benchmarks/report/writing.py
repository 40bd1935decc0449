"""Writing pages and the data beside them."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray

from motionbeat.files import write_atomically

HERE = Path(__file__).parent
STATIC = HERE / "static"
_DIGITS = 5


def page(template: str, **facts: Any) -> str:
    """A page of a template; texts are escaped."""
    place = FileSystemLoader(HERE / "templates")
    pages = Environment(
        loader=place,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return pages.get_template(template).render(facts)


def as_json(value: Any) -> str:
    """Compact JSON in ASCII that may stand in a script of a page.

    Numbers have five significant digits, what is not finite is null, and ``<`` is written such that
    no text ends the script.
    """
    text = json.dumps(_plain(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(one) for one in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, float | np.floating):
        if not np.isfinite(value):
            return None
        short = float(f"{value:.{_DIGITS}g}")
        return int(short) if short.is_integer() and abs(short) < 1e9 else short
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    return value


def packed(values: NDArray[Any]) -> str:
    """The bytes of an array in base64."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def write_data(out: Path, name: str, value: Any) -> None:
    """Write what ``MOTIONBEAT.load(name)`` gives: a script, as pages from disk may not fetch."""
    script = f"MOTIONBEAT.put({as_json(name)}, {as_json(value)});\n"
    write_atomically(out / "data" / f"{name}.js", script.encode())


def scripts(names: Iterable[str]) -> str:
    """Scripts of the report one after another, for a page that is one file."""
    return "\n".join((STATIC / name).read_text() for name in names)
