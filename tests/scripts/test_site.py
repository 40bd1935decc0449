"""Hooks of the site: links, cards, formulas, and the pictures of the protocol."""

import re

import pytest
from PIL import Image
from scripts.drawing import description
from scripts.protocol_pictures import pieces, scores, steps
from scripts.site import card_pages, pages, rendered_text

from motionbeat.benchmarks.registry import DATASETS, ENCODERS
from motionbeat.benchmarks.results_page import ROOT

SHOWN = {"method.md", "decisions/README.md", "results/README.md", "notebooks/look_at_a_dance.md"}


@pytest.mark.parametrize(
    ("uri", "written", "shown"),
    [
        ("decisions/speed.md", "[m](../method.md#ecl)", "[m](../method.md#ecl)"),
        ("decisions/speed.md", "[t](../../results/README.md)", "[t](../results/README.md)"),
        ("results/README.md", "[d](../docs/decisions/)", "[d](../decisions/README.md)"),
        ("method.md", "[n](notebooks/look_at_a_dance.ipynb)", "[n](notebooks/look_at_a_dance.md)"),
        ("method.md", "[base](../tasks/task.py)", "base (`tasks/task.py`)"),
        ("method.md", "[`tasks/task.py`](../tasks/task.py)", "`tasks/task.py`"),
        ("method.md", "[gone](gone.md), `x[0](1)`", "[gone](gone.md), `x[0](1)`"),
        ("method.md", "[a](https://arxiv.org/abs/1)", "[a](https://arxiv.org/abs/1)"),
    ],
)
def test_links_lead_to_pages_of_the_site(uri, written, shown):
    assert pages.linked(written, uri, SHOWN) == shown


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.stem)
def test_links_of_a_page_lead_to_files_of_the_repository_too(page):
    """But for those to what is made with the site."""
    for target in re.findall(r"\]\((?!\w+:)([^)#\s]+)", page.read_text()):
        linked = (page.parent / target).resolve().relative_to(ROOT)
        assert (ROOT / linked).exists() or linked.parts[1] in ("cards", "report"), target


def test_every_card_is_shown_and_linked():
    for known, page in ((DATASETS, card_pages.datasets()), (ENCODERS, card_pages.encoders())):
        for name, kind in known.classes.items():
            assert page.count(f"## `{name}` {{ #{name} }}") == 1
            assert f"| [`{name}`](#{name})" in page
            assert kind.card.revision in page
    linked = card_pages.linked("`groovebox`, `logmel`, `make`")
    assert linked == (
        "[`groovebox`](cards/datasets.md#groovebox), [`logmel`](cards/encoders.md#logmel), `make`"
    )


def test_the_catalogue_names_every_dataset_and_encoder():
    catalogue = (ROOT / "docs" / "catalogue.md").read_text()
    for name, kind in {**DATASETS.classes, **ENCODERS.classes}.items():
        assert f"`{name}`" in catalogue or not kind.__module__.startswith("motionbeat.")


def test_formulas_become_mathml_and_roles_become_code():
    html = r'<p><span class="arithmatex">\(a &lt; \tilde b\)</span> :class:<code>~x.Y</code></p>'
    shown = rendered_text.on_page_content(html)
    assert shown.startswith('<p><span class="arithmatex"><math>')
    assert "&lt;" in shown
    assert shown.endswith("<code>x.Y</code></p>")


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("protocol.png", steps),
        ("protocol_pieces.png", pieces),
        ("protocol_scores.png", lambda: scores(ROOT / "results")),
    ],
)
def test_the_committed_pictures_are_up_to_date(name, draw):
    with Image.open(ROOT / "docs" / name) as committed:
        same = committed.text["Description"] == description(draw())
    assert same, "run python -m scripts.protocol_pictures"
