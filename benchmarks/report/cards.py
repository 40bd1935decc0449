"""The cards of datasets and encoders, as the code states them."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from motionbeat.benchmarks.evaluator import serves
from motionbeat.benchmarks.records import RunRecord
from motionbeat.benchmarks.registry import DATASETS, ENCODERS, TASKS
from motionbeat.benchmarks.report.gathered import Column
from motionbeat.benchmarks.report.licences import commercial, copies

Card = dict[str, Any]
_ALLOWS = {True: "commercial use", False: "no commercial use", None: "licence unclear"}


def card_groups(columns: Sequence[Column]) -> tuple[list[tuple[str, list[Card]]], pd.DataFrame]:
    """All cards by kind, those of the report first, and the same as a table.

    Entries of the report that no code here knows have what their records say.
    """
    datasets = {column.record.dataset: column.record for column in columns}
    encoders = {
        cell.record.name: cell.record
        for column in columns
        for cell in column.cells
        if cell.record.kind == "encoder"
    }
    groups = [
        ("Datasets", _ordered(_datasets(datasets), datasets)),
        ("Encoders", _ordered(_encoders(encoders), encoders)),
    ]
    rows = [
        {"kind": kind, "name": card["name"], **dict(card["facts"]), "citation": card["citation"]}
        for kind, cards in groups
        for card in cards
    ]
    return groups, pd.DataFrame(rows)


def _ordered(cards: Iterable[Card], used: Iterable[str]) -> list[Card]:
    names = set(used)
    found = [card | {"used": card["name"] in names} for card in cards]
    return sorted(found, key=lambda card: (not card["used"], card["name"].lower()))


def _datasets(used: dict[str, RunRecord]) -> Iterable[Card]:
    for name, kind in DATASETS.classes.items():
        card = kind.card
        tasks = [task for task, one in TASKS.classes.items() if serves(kind, one)]
        facts = {
            "licence": card.licence,
            "source": card.source,
            "size": card.size,
            "tasks": ", ".join(tasks) or "none, unlabelled: for pretraining",
            "annotations": ", ".join(one.__name__ for one in card.annotations),
            "splits": card.splits,
            "trained on": card.trained_on,
            "shares data": ", ".join(card.relatives),
            "how to get": card.how_to_get,
            "revision": used[name].dataset_revision if name in used else card.revision,
        }
        words = [card.data, "copies allowed" if copies(card.licence) else "no copies"]
        yield _card(name, words, facts, card.citation)
    for name in used.keys() - DATASETS.classes.keys():
        record = used[name]
        yield _card(name, [record.data], {"revision": record.dataset_revision}, "")


def _encoders(used: dict[str, RunRecord]) -> Iterable[Card]:
    for name, kind in ENCODERS.classes.items():
        card = kind.card
        facts = {
            "licence": card.licence,
            "source": card.source,
            "training data": ", ".join(card.training_data) or "none",
            "parameters": f"{card.parameters:,}",
            "audio": f"{card.sample_rate:,} Hz, {'mono' if card.channels == 1 else 'stereo'}",
            "features": f"{card.frame_rate:g} frames/s, {card.layers} layers of {card.width}",
            "revision": card.revision,
        }
        words = [_ALLOWS[commercial(card.licence)]] + ["experimental"] * card.experimental
        yield _card(name, words, facts, card.source)
    for name in used.keys() - ENCODERS.classes.keys():
        record = used[name]
        facts = {
            "licence": record.licence,
            "training data": "; ".join(record.training_data) or "none",
            "parameters": f"{record.parameters:,}",
            "revision": record.revision,
        }
        yield _card(name, [_ALLOWS[commercial(record.licence)]], facts, "")


def _card(name: str, words: list[str], facts: dict[str, Any], citation: str) -> Card:
    told = [(fact, value) for fact, value in facts.items() if value]
    return {"name": name, "words": words, "facts": told, "citation": citation}
