"""What docs/method.md says of the code is true: names, links and numbers of parameters."""

import re
from functools import reduce
from importlib import import_module

import pytest
import torch

from motionbeat.benchmarks.results_page import ROOT
from motionbeat.model import SIZES, MotionBeat, MotionBeatEncoder

PAGE = ROOT / "docs" / "method.md"
TEXT = PAGE.read_text()
NAMES = sorted(set(re.findall(r"`((?:[a-z]+\.)+[A-Za-z][\w.]*)`", TEXT)))


@pytest.mark.parametrize("name", NAMES)
def test_names_are_those_of_the_code(name):
    *path, last = name.split(".")
    modules = [part for part in path if part.islower()]
    module = import_module(".".join(["motionbeat", *modules]))
    assert hasattr(reduce(getattr, path[len(modules) :], module), last)


@pytest.mark.parametrize("name", ["tiny", "small", "base"])
def test_sizes_are_those_of_the_code(name):
    size = SIZES[name]
    with torch.device("meta"):
        model = MotionBeat(name)
    parts = (model.audio, model.motion, model.sound, model)
    values = [
        *(size.width, size.heads, size.audio_blocks, size.motion_blocks, size.sound),
        MotionBeatEncoder.width(size),
        *(sum(weight.numel() for weight in part.parameters()) for part in parts),
    ]
    assert f"| {name} | {' | '.join(f'{value:,}' for value in values)} |" in TEXT


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https:)([^)]+)\)", TEXT):
        file, _, anchor = target.partition("#")
        linked = PAGE.parent / file
        assert linked.is_file()
        if anchor:
            titles = re.findall(r"^#+ (.+)$", linked.read_text().lower(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", one).replace(" ", "-") for one in titles]
