"""The picture of the architecture shows the code as it is."""

import pytest
import torch
from PIL import Image
from scripts.architecture import architecture, draw
from scripts.drawing import description

from motionbeat.benchmarks.results_page import ROOT
from motionbeat.model import SIZES, MotionBeatEncoder
from motionbeat.sound import SoundStream
from motionbeat.spectrum import AUDIO_FRAME_RATE, BANDS


@pytest.mark.parametrize("name", SIZES)
def test_numbers_are_those_of_the_size(name):
    size = SIZES[name]
    texts = description(draw(name)).splitlines()
    assert texts.count(f"{size.heads} heads, residual") == 2
    blocks = [text for text in texts if text.endswith(" blocks")]
    assert blocks == [f"{size.motion_blocks} blocks", f"{size.audio_blocks} blocks"]
    assert f"{MotionBeatEncoder.width(size)} features at 50 Hz" in texts
    assert f"sound: {size.sound}" in texts
    frames = SoundStream(size.sound)(torch.zeros(1, 160, BANDS)).shape[1]
    assert f"width {size.sound} at {AUDIO_FRAME_RATE * frames / 160:.1f} Hz" in texts


def test_texts_lie_inside_the_page_and_do_not_overlap():
    figure = draw("base")
    [axes] = figure.axes
    page = figure.bbox
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    for number, one in enumerate(boxes):
        assert page.x0 < one.x0
        assert one.x1 < page.x1
        assert not any(one.overlaps(other) for other in boxes[:number])


def test_the_picture_is_small_and_the_committed_one_is_up_to_date(tmp_path):
    architecture("small", tmp_path / "drawn.png")
    committed = ROOT / "docs" / "architecture.png"
    with Image.open(tmp_path / "drawn.png") as drawn, Image.open(committed) as kept:
        assert drawn.size == kept.size
        assert drawn.width >= 1600
        same = drawn.text["Description"] == kept.text["Description"]
        assert same, "run python -m scripts.architecture"
    assert committed.stat().st_size <= 150_000
