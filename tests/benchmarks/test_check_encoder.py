"""Every check of an encoder finds what it is there to find."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from tests.command import motionbeat
from tests.toy_encoders import HOP, Loudness
from torch.nn import functional

from motionbeat.benchmarks.check_encoder import (
    CHECKS,
    ContractError,
    ContractWarning,
    check_card,
    try_out,
)


def variant(**members):
    """A loudness encoder with other members."""
    return type("Variant", (Loudness,), members)


def output(change):
    """A loudness encoder whose output is changed."""
    return variant(forward=lambda self, waveform: change(Loudness.forward(self, waveform)))


def power(measure):
    """A loudness encoder that measures the power of the waveform in another way."""
    return variant(power=lambda self, waveform: measure(Loudness.power(self, waveform), waveform))


def blurred(size):
    """Power averaged over so many frames."""
    return power(
        lambda it, _: functional.avg_pool1d(it[:, None], size, 1, size // 2)[:, 0],
    )


def made(change):
    """A loudness encoder that its constructor changes."""

    def __init__(self):  # noqa: N807
        Loudness.__init__(self)
        change(self)

    return variant(__init__=__init__)


def in_place(self, waveform):
    return Loudness.forward(self, waveform.mul_(2))


def left_behind(self):
    self.offset = torch.zeros(2)


BROKEN = {
    "training mode": ("frozen", made(lambda self: self.train()), "modules in training mode"),
    "trainable": ("frozen", made(lambda self: self.requires_grad_(True)), "with gradients"),
    "miscounted": (
        "frozen",
        variant(card=replace(Loudness.card, parameters=4)),
        "set parameters=3 on the card",
    ),
    "double": ("output", output(lambda it: it.double()), "float64"),
    "without layers": ("output", output(lambda it: it[:, 0]), "(2, 1, frames, 2)"),
    "a pair": ("output", output(lambda it: (it, it)), "forward gave a tuple"),
    "raising": (
        "output",
        variant(forward=lambda self, waveform: waveform @ waveform),
        "test_check_encoder.py:",
    ),
    "input changed in place": ("output", variant(forward=in_place), "changes its input in place"),
    "faster": (
        "frame rate",
        variant(card=replace(Loudness.card, frame_rate=62.5)),
        "50 frames a second, the card says 62.5",
    ),
    "early": ("alignment", output(lambda it: it.roll(-2, dims=2)), "-2.0 frames"),
    "late": ("alignment", output(lambda it: it.roll(3, dims=2)), "+3.0 frames at most (+60 ms)"),
    "backwards": ("alignment", output(lambda it: it.flip(2)), "frames at most"),
    "deaf": ("alignment", output(torch.zeros_like), "no frame within 2 s"),
    "random": ("agreement", output(lambda it: it + 1e-3 * torch.rand_like(it)), "runs differ"),
    "unseeded": (
        "agreement",
        made(lambda self: self.gain.add_(torch.rand(2))),
        "instances differ",
    ),
    "mixing rows": ("agreement", output(lambda it: it - it.mean(dim=0)), "rows of a batch differ"),
    "mixing lengths": (
        "agreement",
        variant(
            card=replace(Loudness.card, unequal_lengths=True),
            forward=lambda self, waveform, lengths=None: (
                Loudness.forward(self, waveform)
                - Loudness.forward(self, waveform).mean(dim=2, keepdim=True)
            ),
        ),
        "rows of other lengths differ",
    ),
    "without padding": (
        "short audio, silence",
        power(lambda _, waveform: waveform.unfold(-1, HOP, HOP).square().mean(-1)),
        "maximum size",
    ),
    "without frames": (
        "short audio, silence",
        variant(
            forward=lambda self, waveform: Loudness.forward(self, waveform)[
                :, :, : waveform.shape[1] // HOP
            ]
        ),
        "0 frames",
    ),
    "infinite": (
        "short audio, silence",
        variant(
            forward=lambda self, waveform: (self.power(waveform).log()[..., None] * self.gain)[
                :, None
            ]
        ),
        "not finite",
    ),
    "farsighted": ("long audio", blurred(201), "set context to 2 or more"),
    "dropping frames": ("long audio", output(lambda it: it[:, :, :4000]), "in pieces"),
    "left behind": ("frozen", made(left_behind), "offset would stay behind"),
}


@pytest.mark.parametrize("check", CHECKS)
def test_an_encoder_that_keeps_the_contract_passes(check):
    assert CHECKS[check](Loudness())


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_encoder_fails(fault):
    check, kind, words = BROKEN[fault]
    verdict, found = try_out(partial(CHECKS[check], kind()), kind)
    assert verdict == "failed", found
    assert words in found
    assert "; " in found  # what was measured, and what to change
    assert "\n" not in found


def test_every_check_is_broken_by_some_encoder():
    assert {check for check, *_ in BROKEN.values()} == CHECKS.keys()


def test_the_context_asked_for_is_enough():
    assert CHECKS["long audio"](type("Corrected", (blurred(201),), {"context": 2.0})())


@pytest.mark.parametrize(
    ("check", "kind"),
    [
        (
            "frame rate",
            variant(
                forward=lambda self, waveform: Loudness.forward(self, waveform)[
                    :, :, : max(1, waveform.shape[1] // HOP)
                ]
            ),
        ),
        ("long audio", output(lambda it: it - it.mean(dim=2, keepdim=True))),
        ("alignment", blurred(21)),
    ],
)
def test_what_may_be_meant_is_warned_of(check, kind):
    with pytest.raises(ContractWarning):
        CHECKS[check](kind())


def test_a_context_of_the_whole_recording_is_never_cut():
    kind = variant(
        context=float("inf"),
        forward=lambda self, waveform: Loudness.forward(self, waveform) + waveform.mean(),
    )
    assert CHECKS["long audio"](kind())
    assert check_card(kind)


@pytest.mark.parametrize(
    ("fact", "value"),
    [("name", "a/b"), ("revision", 1), ("layers", 0), ("width", 1.5), ("frame_rate", 20000.0)],
)
def test_a_card_that_cannot_be_true_fails(fact, value):
    with pytest.raises(ContractError, match="cannot be true"):
        check_card(variant(card=replace(Loudness.card, **{fact: value})))


START = (
    "from dataclasses import replace\n"
    "from motionbeat.errors import MotionBeatError\n"
    "from tests.toy_encoders import Loudness\n"
    "class Mine(Loudness):\n"
    "    card = replace(Loudness.card, name='mine-checked')\n"
)
BAD_WEIGHTS = "        raise MotionBeatError('weights.pt: damaged; fetch it again')\n"


@pytest.mark.parametrize(
    ("code", "check", "words"),
    [
        ("    def __init__(self, size): pass\n", "made here", "TypeError"),
        ("    def __init__(self):\n        [][1]\n", "made here", "(mine.py:7)"),
        ("    packages = {'nowhere_at_all': 'nowhere'}\n", "made here", "pip install"),
        ("    def __init__(self):\n" + BAD_WEIGHTS, "made here", "damaged; fetch it again"),
        ("    def forward(self, w):\n        raise KeyError(1)\n", "output", "(mine.py:7)"),
    ],
)
def test_errors_of_the_encoder_are_findings_in_one_line(tmp_path, code, check, words):
    file = tmp_path / "mine.py"
    file.write_text(START + code)
    ended = motionbeat("check-encoder", f"{file}:Mine")
    assert ended.code == 1
    assert "Traceback" not in ended.printed + ended.said
    [line] = [line for line in ended.printed.splitlines() if words in line]
    assert line.startswith(f"failed  {check}: ")
    assert ended.printed.splitlines()[-1].startswith("1 failed, 0 warned of, ")


def test_a_file_that_cannot_be_loaded_is_an_error_in_one_line(tmp_path):
    (tmp_path / "mine.py").write_text("x = = 1\n")
    ended = motionbeat("check-encoder", f"{tmp_path}/mine.py:Mine")
    assert ended.code == 1
    assert ended.said.startswith("motionbeat: error: ")
    assert len(ended.said.splitlines()) == 1


def test_weights_are_looked_for_in_the_folder_that_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTIONBEAT_DATA", "")
    file = tmp_path / "weights" / "vggish-10086976.pth"
    for words in ("give --data DIR", "delete it and get it again"):
        ended = motionbeat("check-encoder", "vggish", "--data", tmp_path)
        assert ended.code == 1
        [line] = [line for line in ended.printed.splitlines() if "made here" in line]
        assert words in line
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"junk")
