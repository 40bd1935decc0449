"""The cards of datasets and encoders as pages, and links from the catalogue to them."""

import html
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from mkdocs.structure.files import File, Files

from motionbeat.benchmarks.evaluator import serves
from motionbeat.benchmarks.registry import DATASETS, ENCODERS, TASKS

DATASET_PAGE, ENCODER_PAGE, CATALOGUE = "cards/datasets.md", "cards/encoders.md", "catalogue.md"
_NAME = re.compile(r"`([\w-]+)`")
_ADDRESS = re.compile(r"(?<![/\w])((?:github\.com|zenodo\.org|huggingface\.co)/\S*[\w/])")


def on_files(files: Files, config: Any) -> Files:
    """Add a page of cards for the datasets and one for the encoders."""
    for uri, content in ((DATASET_PAGE, datasets()), (ENCODER_PAGE, encoders())):
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Link the names in the catalogue to their cards."""
    return linked(markdown) if page.file.src_uri == CATALOGUE else markdown


def linked(markdown: str) -> str:
    """Link every name of a dataset or an encoder to its card."""

    def link(found: re.Match[str]) -> str:
        for names, uri in ((DATASETS.classes, DATASET_PAGE), (ENCODERS.classes, ENCODER_PAGE)):
            if found[1] in names:
                return f"[{found[0]}]({uri}#{found[1]})"
        return found[0]

    return _NAME.sub(link, markdown)


def datasets() -> str:
    """The page of all datasets."""
    rows, cards = [], []
    for name, kind in sorted(DATASETS.classes.items()):
        card = kind.card
        served = [task for task, one in TASKS.classes.items() if serves(kind, one)]
        tasks = ", ".join(served) or "none; unlabelled, for pretraining"
        facts = {
            "class": f"`{kind.__module__}.{kind.__name__}`",
            "data": f"{card.data}, rendered by {card.renderer}" if card.renderer else card.data,
            "tasks": tasks,
            "annotations": ", ".join(f"`{one.__name__}`" for one in card.annotations),
            "size": _text(card.size),
            "splits": _text(card.splits),
            "probes learn from": card.trained_on and f"[`{card.trained_on}`](#{card.trained_on})",
            "licence": _text(card.licence),
            "citation": _text(card.citation),
            "source": _text(card.source),
            "how to get it": _text(card.how_to_get),
            "when the source is gone": _text(card.when_gone),
            "shares recordings with": _text(", ".join(card.relatives)),
            "revision": f"`{card.revision}`",
        }
        rows.append((_link(name), card.data, tasks, _text(card.size.partition(";")[0])))
        cards.append(_card(name, kind, facts))
    text = "What each dataset holds, where it comes from, and what its licence says."
    return _page("Dataset cards", text, ("dataset", "data", "tasks", "size"), rows, cards)


def encoders() -> str:
    """The page of all encoders."""
    rows, cards = [], []
    for name, kind in sorted(ENCODERS.classes.items()):
        card = kind.card
        trained_on = _text(", ".join(card.training_data)) or "nothing"
        shape = f"{card.layers} by {card.width}"
        facts = {
            "class": f"`{kind.__module__}.{kind.__name__}`",
            "input": f"{'stereo' if card.channels == 2 else 'mono'}, {card.sample_rate:,} Hz",
            "output": f"{shape} (layers by features) at {card.frame_rate:g} Hz",
            "context": _context(kind.context),
            "parameters": f"{card.parameters:,}",
            "trained on": trained_on,
            "licence": _text(card.licence),
            "source": _text(card.source),
            "to install": " ".join(f"`pip install {one}`" for one in kind.packages.values()),
            "experimental": "reimplemented, never compared with the published weights"
            * card.experimental,
            "revision": f"`{card.revision}`",
        }
        mark = " (experimental)" * card.experimental
        rate = f"{card.frame_rate:.4g}"
        rows.append((_link(name) + mark, rate, shape, f"{card.parameters:,}", trained_on))
        cards.append(_card(name, kind, facts))
    text = "What each encoder takes and gives, what it was trained on, and what its licence says."
    head = ("encoder", "Hz", "layers by width", "parameters", "trained on")
    return _page("Encoder cards", text, head, rows, cards)


def _page(
    title: str, text: str, head: Iterable[str], rows: Iterable[Iterable[str]], cards: Iterable[str]
) -> str:
    note = "This page is made from the cards in the code."
    return "\n\n".join([f"# {title}", f"{text} {note}", _table(head, rows), *cards])


def _card(name: str, kind: type, facts: Mapping[str, str | None]) -> str:
    does = _text((kind.__doc__ or "").strip().partition("\n")[0])
    does = re.sub(r":\w+:(`[^`]+`)", r"\1", does)
    known = [(fact, value) for fact, value in facts.items() if value]
    return f"## `{name}` {{ #{name} }}\n\n{does}\n\n{_table(('', ''), known)}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _link(name: str) -> str:
    return f"[`{name}`](#{name})"


def _context(seconds: float) -> str:
    return "the whole recording" if math.isinf(seconds) else f"{seconds:g} s on either side"


def _text(value: str) -> str:
    """Plain text that may stand in a cell of a table, with links."""
    linked = _ADDRESS.sub(r"https://\1", value)
    return html.escape(linked, quote=False).replace("|", "\\|").replace("*", "\\*")
