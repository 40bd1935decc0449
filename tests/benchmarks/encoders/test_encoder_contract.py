"""What every shipped encoder promises; large networks are tiny here, with the published layout."""

import subprocess
import sys
from dataclasses import replace
from functools import cache

import pytest
from tests.benchmarks.encoders import hub_networks, published

from motionbeat.benchmarks.check_encoder import CHECKS, ContractWarning, check_card, noise, states
from motionbeat.benchmarks.encoders.no_music import NoMusic
from motionbeat.benchmarks.encoders.pretrained.beatnet import BeatNet
from motionbeat.benchmarks.encoders.pretrained.mtg_taggers import CrnnJamendo, FcnJamendo
from motionbeat.benchmarks.registry import ENCODERS
from motionbeat.model import MotionBeatEncoder

OURS = {
    n: kind for n, kind in ENCODERS.classes.items() if kind.__module__.startswith("motionbeat.")
}
SAME_NETWORK = {"musicnn-msd", "fcn-jamendo", "fcn-msd", "crnn-jamendo", "musicnn-mtat"}
TINY = {
    **{name: published.small(name) for name in published.SIZES},
    **{kind.card.name: hub_networks.small(kind) for kind in hub_networks.TINY},
}
WHOLE = set(OURS) - set(TINY) - SAME_NETWORK - {"musicfm-fma"}
OF_TINY = ("frozen", "output", "frame rate", "agreement", "short audio, silence")
# Frames between the middles of two beats are mixed from both, LSTMs remember, taggers pool.
BLURRED = (MotionBeatEncoder, BeatNet, FcnJamendo, CrnnJamendo)


@cache
def whole(name):
    return OURS[name]()


@pytest.mark.parametrize("name", sorted(WHOLE))
@pytest.mark.parametrize("check", CHECKS)
def test_encoders_keep_the_contract(name, check):
    if (reason := OURS[name].unavailable()) is not None:
        pytest.skip(reason)
    if (name, check) == ("no-music", "alignment"):
        pytest.skip("it is there to give nothing")
    if check == "alignment" and issubclass(OURS[name], BLURRED):
        with pytest.raises(ContractWarning):
            CHECKS[check](whole(name))
    else:
        assert CHECKS[check](whole(name))


@pytest.mark.parametrize("name", sorted(TINY))
def test_tiny_networks_keep_the_contract(name, tmp_path, monkeypatch):
    monkeypatch.setenv("MOTIONBEAT_DATA", str(tmp_path))
    monkeypatch.setenv("MOTIONBEAT_HUB", str(tmp_path / "hub"))
    kind = TINY[name]
    if name in published.SIZES:
        published.place(tmp_path, name)
    else:
        hub_networks.publish(OURS[name], tmp_path / "hub")
    if (reason := kind.unavailable()) is not None:
        pytest.skip(reason)
    parameters = sum(weights.numel() for weights in kind().parameters())
    counted = {"card": replace(kind.card, parameters=parameters)}
    encoder = type(kind.__name__, (kind,), counted)()
    for check in OF_TINY:
        assert CHECKS[check](encoder)


@pytest.mark.parametrize("name", sorted(OURS))
def test_card_is_plausible(name):
    assert check_card(OURS[name])


def test_no_music_gives_zeros():
    assert not states(NoMusic(), noise(NoMusic(), 2.0, batch=2)).any()


def test_encoders_are_listed_without_what_they_need():
    code = (
        "import sys\n"
        "absent = ('transformers', 'huggingface_hub', 'musicnn', 'BeatNet', 'basic_pitch',\n"
        "          'dasheng', 'wav2clip')\n"
        "sys.modules.update(dict.fromkeys(absent))\n"
        "from motionbeat.benchmarks.registry import ENCODERS\n"
        "said = ENCODERS.get('ast').unavailable()\n"
        "heavy = {'librosa', 'torchaudio', 'tensorflow', 'madmom'}\n"
        "print(heavy & set(sys.modules), said)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("set() not installed; run: pip install 'transformers")
