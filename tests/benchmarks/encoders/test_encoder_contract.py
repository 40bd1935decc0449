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
from motionbeat.benchmarks.encoders.pretrained.codecs import Encodec24
from motionbeat.benchmarks.encoders.pretrained.hub import HubEncoder
from motionbeat.benchmarks.encoders.pretrained.mtg_taggers import CrnnMsd, FcnMtat
from motionbeat.benchmarks.encoders.pretrained.weight_files import FileEncoder
from motionbeat.benchmarks.registry import ENCODERS
from motionbeat.model import MotionBeatEncoder

SAME_NETWORK = {"musicnn-msd", "fcn-jamendo", "fcn-msd", "crnn-jamendo", "musicnn-mtat"}
TINY = {
    **{name: one.small for name, one in published.PUBLISHED.items()},
    **{kind.card.name: hub_networks.small(kind) for kind in hub_networks.TINY},
}
WHOLE = {
    name: kind
    for name, kind in ENCODERS.classes.items()
    if not issubclass(kind, FileEncoder | HubEncoder)
    and kind.__module__.startswith("motionbeat.")
    and name not in SAME_NETWORK
}
OF_TINY = ("frozen", "output", "frame rate", "agreement", "short audio, silence", "device")
WARNED = {
    # Frames between the middles of two beats are mixed from both, LSTMs remember, taggers pool.
    "alignment": MotionBeatEncoder | BeatNet | FcnMtat | CrnnMsd,
    "device": Encodec24,  # its convolutions ask tensors for numbers
}
"""Encoders of which a check warns, with good reason."""


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """Tiny files of weights where the encoders look for them."""
    folder = tmp_path_factory.mktemp("weights")
    for name in published.PUBLISHED:
        published.place(folder, name)
    for kind in hub_networks.TINY:
        hub_networks.publish(kind, folder / "hub")
    return folder


@cache
def whole(name):
    return WHOLE[name]()


@pytest.fixture
def tiny(folder, monkeypatch):
    """Makes tiny encoders by name."""
    monkeypatch.setenv("MOTIONBEAT_DATA", str(folder))
    monkeypatch.setenv("MOTIONBEAT_HUB", str(folder / "hub"))

    def make(name):
        kind = TINY[name]
        parameters = sum(weights.numel() for weights in kind().parameters())
        counted = {"card": replace(kind.card, parameters=parameters)}
        return type(kind.__name__, (kind,), counted)()

    return make


def keeps(check, encoder):
    if isinstance(encoder, WARNED.get(check, ())):
        with pytest.raises(ContractWarning):
            CHECKS[check](encoder)
    else:
        assert CHECKS[check](encoder)


def test_every_encoder_is_tried():
    other_weights = SAME_NETWORK | {"musicfm-fma"}
    ours = {n for n, kind in ENCODERS.classes.items() if kind.__module__.startswith("motionbeat.")}
    assert ours == set(WHOLE) | set(TINY) | other_weights


@pytest.mark.parametrize("name", sorted(WHOLE))
@pytest.mark.parametrize("check", sorted(CHECKS.keys() - {"memory, speed"}))
def test_encoders_keep_the_contract(name, check):
    if (reason := WHOLE[name].unavailable()) is not None:
        pytest.skip(reason)
    if (name, check) == (NoMusic.card.name, "alignment"):
        pytest.skip("it is there to give nothing")
    keeps(check, whole(name))


@pytest.mark.parametrize("name", sorted(TINY))
def test_tiny_networks_keep_the_contract(name, tiny):
    encoder = tiny(name)
    for check in OF_TINY:
        keeps(check, encoder)


@pytest.mark.parametrize("name", sorted(ENCODERS.classes))
def test_card_is_plausible(name):
    assert check_card(ENCODERS.classes[name])


def test_no_music_gives_zeros():
    assert not states(NoMusic(), noise(NoMusic(), 2.0, batch=2)).any()


def test_encoders_are_listed_without_what_they_need():
    code = (
        "import sys\n"
        "absent = ('transformers', 'huggingface_hub', 'musicnn', 'BeatNet', 'basic_pitch')\n"
        "sys.modules.update(dict.fromkeys(absent))\n"
        "from motionbeat.benchmarks.registry import ENCODERS\n"
        "said = ENCODERS.get('ast').unavailable()\n"
        "heavy = {'librosa', 'torchaudio', 'tensorflow', 'madmom'}\n"
        "print(heavy & set(sys.modules), said)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("set() not installed; run: pip install 'transformers")
