"""Every check of an encoder finds what it is there to find."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.command import motionbeat
from torch.nn import functional

from motionbeat.benchmarks.check_encoder import (
    CHECKS,
    HUNGRY,
    SLOW,
    check_card,
    check_cost,
    examine,
    findings,
    judge_cost,
)
from motionbeat.encoder import Encoder, EncoderCard

HOP = 320


class Fine(Encoder):
    """Loudness of two kinds, fifty times a second."""

    card = EncoderCard(
        name="fine",
        revision="1",
        sample_rate=16000,
        frame_rate=50.0,
        layers=1,
        width=2,
        parameters=3,
        licence="none",
        training_data=("clicks",),
        source="tests",
    )
    context = 0.1

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.register_buffer("gain", torch.tensor([1.0, 2.0]))
        self.eval().requires_grad_(False)

    def power(self, waveform):
        frames = functional.pad(waveform, (HOP // 2, HOP - 1)).unfold(-1, HOP, HOP)
        return frames.square().mean(-1)

    def forward(self, waveform):
        return (self.power(waveform).add(1e-8).log()[..., None] * self.gain)[:, None]


class Training(Fine):
    def __init__(self):
        super().__init__()
        self.train()


class Trainable(Fine):
    def __init__(self):
        super().__init__()
        self.requires_grad_(True)


class Miscounted(Fine):
    card = replace(Fine.card, parameters=4)


class Double(Fine):
    def forward(self, waveform):
        return super().forward(waveform).double()


class Narrow(Fine):
    def forward(self, waveform):
        return super().forward(waveform)[..., :1]


class Layerless(Fine):
    def forward(self, waveform):
        return super().forward(waveform)[:, 0]


class Pair(Fine):
    def forward(self, waveform):
        return super().forward(waveform), waveform


class Raising(Fine):
    def forward(self, waveform):
        return waveform @ waveform  # two rows do not fit


class Faster(Fine):
    card = replace(Fine.card, frame_rate=62.5)


class Early(Fine):
    def forward(self, waveform):
        return super().forward(waveform).roll(-2, dims=2)


class Late(Fine):
    def forward(self, waveform):
        return super().forward(waveform).roll(3, dims=2)


class Backwards(Fine):
    def forward(self, waveform):
        return super().forward(waveform).flip(2)


class Deaf(Fine):
    def forward(self, waveform):
        return torch.zeros_like(super().forward(waveform))


class Shaky(Fine):
    def forward(self, waveform):
        states = super().forward(waveform)
        return states + 1e-3 * torch.rand_like(states)


class Unseeded(Fine):
    def __init__(self):
        super().__init__()
        self.gain += torch.rand(2)


class Gregarious(Fine):
    def forward(self, waveform):
        states = super().forward(waveform)
        return states - states.mean(dim=0)


class Hasty(Fine):
    def power(self, waveform):
        return waveform.unfold(-1, HOP, HOP).square().mean(-1)  # a sample is no window


class Frameless(Fine):
    def forward(self, waveform):
        return super().forward(waveform)[:, :, : waveform.shape[1] // HOP]


class Infinite(Fine):
    def forward(self, waveform):
        return (self.power(waveform).log()[..., None] * self.gain)[:, None]


class Farsighted(Fine):
    """Hears two seconds ahead and back, but says a tenth of one."""

    def power(self, waveform):
        return functional.avg_pool1d(super().power(waveform)[:, None], 201, 1, 100)[:, 0]


class Dwindling(Fine):
    """Drops frames of long audio."""

    def forward(self, waveform):
        return super().forward(waveform)[:, :, :4000]


class LeftBehind(Fine):
    def __init__(self):
        super().__init__()
        self.offset = torch.zeros(2)

    def forward(self, waveform):
        return super().forward(waveform) + self.offset


class Homebound(Fine):
    def forward(self, waveform):
        return super().forward(waveform) + torch.zeros(2)


class Projected(Fine):
    def forward(self, waveform):
        return super().forward(waveform) @ torch.eye(2)


class Indexed(Fine):
    """Indices may lie on the CPU, and be moved there."""

    def forward(self, waveform):
        states = super().forward(waveform)[..., torch.tensor([0, 1])]
        return states + torch.zeros(2).to(states)


BROKEN = {
    "frozen": [Training, Trainable],
    "parameters": [Miscounted],
    "output": [Double, Narrow, Layerless, Pair, Raising],
    "frame rate": [Faster],
    "alignment": [Early, Late, Backwards, Deaf],
    "determinism": [Shaky],
    "two instances": [Unseeded],
    "batch": [Gregarious],
    "short audio": [Hasty, Frameless],
    "silence": [Infinite],
    "long audio": [Farsighted, Dwindling],
    "device": [LeftBehind, Homebound, Projected],
}


@pytest.mark.parametrize("check", CHECKS)
def test_an_encoder_that_keeps_the_contract_passes(check):
    assert examine(CHECKS[check], Fine()).verdict == "ok"


@pytest.mark.parametrize(
    ("check", "kind"), [(check, kind) for check, kinds in BROKEN.items() for kind in kinds]
)
def test_a_broken_encoder_fails(check, kind):
    found = examine(CHECKS[check], kind())
    assert found.verdict == "failed", found
    assert found.measured
    assert found.remedy
    assert "\n" not in found.measured + found.remedy


def test_indices_and_moves_between_devices_pass():
    assert examine(CHECKS["device"], Indexed()).verdict == "ok"


def test_every_check_is_broken_by_some_encoder():
    assert set(BROKEN) == set(CHECKS)


def test_what_is_measured_is_told():
    def told(check, kind):
        found = examine(CHECKS[check], kind())
        return f"{found.measured}: {found.remedy}"

    assert "50 frames a second, the card says 62.5" in told("frame rate", Faster)
    assert "set parameters=3" in told("parameters", Miscounted)
    assert "+3.0 frames" in told("alignment", Late)
    assert "(+60 ms)" in told("alignment", Late)
    assert "-2.0 frames" in told("alignment", Early)
    assert "offset would stay behind" in told("device", LeftBehind)
    assert "forward gave a tuple: give one tensor" in told("output", Pair)
    assert "RuntimeError" in told("output", Raising)
    assert "test_check_encoder.py:" in told("output", Raising)


def test_the_context_asked_for_is_enough():
    found = examine(CHECKS["long audio"], Farsighted())
    asked = float(found.remedy.removeprefix("set context to ").removesuffix(" or more"))
    assert 1.5 <= asked <= 2.5
    kind = type("Mended", (Farsighted,), {"context": asked})
    assert examine(CHECKS["long audio"], kind()).verdict == "ok"


class Unpadded(Fine):
    """One frame short at the end."""

    def forward(self, waveform):
        return super().forward(waveform)[:, :, : max(1, waveform.shape[1] // HOP)]


class Levelled(Fine):
    """Its features are those of the piece made level as a whole."""

    def forward(self, waveform):
        states = super().forward(waveform)
        return states - states.mean(dim=2, keepdim=True)


class Blurred(Fine):
    def power(self, waveform):
        return functional.avg_pool1d(super().power(waveform)[:, None], 21, 1, 10)[:, 0]


class Fetched(Fine):
    def forward(self, waveform):
        return super().forward(waveform) + waveform.abs().max().item()


@pytest.mark.parametrize(
    ("check", "kind"),
    [
        ("frame rate", Unpadded),
        ("long audio", Levelled),
        ("alignment", Blurred),
    ],
)
def test_what_may_be_meant_is_warned_of(check, kind):
    assert examine(CHECKS[check], kind()).verdict == "warning"


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU tells")
def test_what_needs_values_cannot_be_told_without_a_gpu():
    assert examine(CHECKS["device"], Fetched()).verdict == "warning"


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("name", ""),
        ("name", "a/b"),
        ("revision", 1),
        ("sample_rate", 16000.0),
        ("sample_rate", 16),
        ("frame_rate", 0),
        ("frame_rate", 20000.0),
        ("layers", 0),
        ("width", 1.5),
        ("parameters", -1),
        ("licence", " "),
        ("training_data", "clicks"),
        ("source", ""),
    ],
)
def test_a_card_that_cannot_be_true_fails(fact, value):
    kind = type("Carded", (Fine,), {"card": replace(Fine.card, **{fact: value})})
    found = check_card(kind)
    assert found.verdict == "failed"
    assert fact in found.measured


@pytest.mark.parametrize("context", [-1, float("inf"), None])
def test_a_context_that_cannot_be_true_fails(context):
    found = check_card(type("Carded", (Fine,), {"context": context}))
    assert found.verdict == "failed"
    assert "context" in found.measured


def test_memory_and_speed_are_measured(tmp_path):
    file = tmp_path / "hungry.py"
    file.write_text(
        "import torch\n"
        "from tests.toys import Tiny, card\n"
        "class Hungry(Tiny):\n"
        "    card = card('hungry')\n"
        "    def forward(self, waveform):\n"
        "        held = torch.ones(waveform.shape[1] * (8 << 20) // 32000)  # 8 MiB a second\n"
        "        return super().forward(waveform) + 0 * held[0]\n"
    )
    found = dict(check_cost(f"{file}:Hungry"))
    assert {one.verdict for one in found.values()} == {"ok"}
    assert 7.5 < float(found["memory"].measured.split()[0]) < 12


def test_a_large_and_slow_encoder_is_warned_of():
    found = [one.verdict for one in dict(judge_cost(HUNGRY + 1, SLOW / 2, "cpu")).values()]
    assert found == ["warning", "ok"]
    found = [one.verdict for one in dict(judge_cost(HUNGRY / 2, SLOW + 1, "cpu")).values()]
    assert found == ["ok", "warning"]


class Killed(Fine):
    card = replace(Fine.card, name="killed")

    def forward(self, waveform):
        os.kill(os.getpid(), signal.SIGKILL)


def test_an_encoder_that_is_killed_fails():
    [(check, found)] = check_cost(f"{__name__}:Killed")
    assert (check, found.verdict) == ("memory", "failed")
    assert "killed" in found.measured


START = "from tests.toys import Tiny, card\nclass Mine(Tiny):\n    card = card('mine-checked')\n"


MENDABLE = (
    "from motionbeat.errors import MotionBeatError\n"
    + START
    + "    def {}:\n        raise MotionBeatError('weights.pt: damaged; fetch it again')\n"
)


@pytest.mark.parametrize(
    ("code", "check", "words"),
    [
        ("x = = 1\n", "loading", "SyntaxError: invalid syntax"),
        ("import nowhere_at_all\n", "loading", "ModuleNotFoundError"),
        (START + "    def __init__(self, size): pass\n", "made here", "TypeError"),
        (START + "    def __init__(self):\n        [][1]\n", "made here", "(mine.py:5)"),
        (START + "    packages = {'nowhere_at_all': 'nowhere'}\n", "made here", "pip install"),
        (START + "    def forward(self, w):\n        raise KeyError(1)\n", "output", "(mine.py:5)"),
        (START + "    def forward(self, w): pass\n", "output", "gave a NoneType"),
        (MENDABLE.format("__init__(self)"), "made here", "failed  │ weights.pt: damaged "),
        (MENDABLE.format("__init__(self)"), "made here", "│ fetch it again "),
        (MENDABLE.format("forward(self, w)"), "output", "failed  │ weights.pt: damaged "),
        (MENDABLE.format("forward(self, w)"), "output", "│ fetch it again "),
    ],
)
def test_errors_of_the_encoder_are_findings_in_one_line(tmp_path, monkeypatch, code, check, words):
    monkeypatch.setenv("COLUMNS", "300")
    file = tmp_path / "mine.py"
    file.write_text(code)
    ended = motionbeat("check-encoder", f"{file}:Mine")
    assert ended.code == 1
    assert "Traceback" not in ended.printed + ended.said
    [line] = [line for line in ended.printed.splitlines() if words in line]
    assert check in line
    assert "failed" in line


def test_an_error_of_the_suite_in_another_process_keeps_its_remedy(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(MENDABLE.format("forward(self, w)"))
    [(check, found)] = check_cost(f"{file}:Mine")
    assert (check, found.verdict) == ("memory", "failed")
    assert (found.measured, found.remedy) == ("weights.pt: damaged", "fetch it again")


def test_weights_are_looked_for_in_the_folder_that_is_given(tmp_path, monkeypatch):
    """And what cannot be read there says so, with what to do."""
    monkeypatch.setenv("MOTIONBEAT_DATA", "")
    monkeypatch.chdir(tmp_path)
    file = Path("mine", "weights", "vggish-10086976.pth")
    file.parent.mkdir(parents=True)
    for measured, remedy in (
        ("no such file", "put it there, from https://"),
        ("damaged, or no file of weights", "delete it and try again"),
    ):
        ended = motionbeat("check-encoder", "vggish", "--data", "mine")
        assert ended.code == 1
        [line] = [line for line in ended.printed.splitlines() if "made here" in line]
        assert f"{file}: {measured} " in line
        assert f"│ {remedy}" in line
        file.write_bytes(b"junk")


def test_the_list_of_encoders_looks_into_the_folder_that_is_given(tmp_path, monkeypatch):
    def here():
        [line] = [one for one in motionbeat(*command).printed.splitlines() if " vggish " in one]
        return line.split("│")[-2].strip()

    monkeypatch.setenv("MOTIONBEAT_DATA", "")
    command = ("list", "encoders", "--data", tmp_path)
    assert here() != "yes"
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "vggish-10086976.pth").touch()
    assert here() == "yes"


def test_an_unknown_name_is_an_error_in_one_line():
    ended = motionbeat("check-encoder", "log_mel")
    assert ended.code == 1
    assert ended.said.startswith("motionbeat: error: unknown encoder 'log_mel'")
    assert len(ended.said.splitlines()) == 1


def test_nothing_is_tried_of_an_output_that_is_wrong(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(START + "    def forward(self, w): pass\n")
    assert [check for check, _ in findings(f"{file}:Mine")][-1] == "output"
