"""Weights come back as they were written; anything else is refused in one line, and never run."""

import hashlib
import json
import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from scripts import shipped_weights

from motionbeat import weights
from motionbeat.live import LiveEncoder, LiveMotionBeat
from motionbeat.model import MotionBeat
from motionbeat.weights import WeightsError, from_pretrained, load_model, save_weights

ARCHITECTURE = {"size": "tiny", "phase": "rotated", "contacts": "both"}


def model(seed=0, **architecture):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MotionBeat(**(ARCHITECTURE | architecture))


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A folder that ships one set of weights, ``motionbeat-toy``."""
    folder = tmp_path / "shipped"
    monkeypatch.setattr(weights, "FOLDER", folder)
    digest = save_weights(model(), ARCHITECTURE, folder / "motionbeat-toy.safetensors")
    (folder / "sha256.json").write_text(json.dumps({"motionbeat-toy": digest}))
    return folder


def refusal(name):
    with pytest.raises(WeightsError) as caught:
        load_model(name)
    message = str(caught.value)
    assert message.count("\n") == 0
    return message


def assert_same(one, other):
    one, other = one.state_dict(), other.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("changes", [{}, {"phase": "added", "contacts": "none"}])
def test_what_is_written_is_read_bit_by_bit(changes, tmp_path):
    saved, path = model(seed=5, **changes), tmp_path / "one.safetensors"
    digest = save_weights(saved, dict(reversed((ARCHITECTURE | changes).items())), path)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest == save_weights(saved, ARCHITECTURE | changes, tmp_path / "other.safetensors")
    loaded = load_model(path)
    assert_same(loaded, saved)
    assert [type(one) for one in loaded.modules()] == [type(one) for one in saved.modules()]
    assert not any(one.training for one in loaded.modules())
    assert not any(one.requires_grad for one in loaded.parameters())


def foreign(metadata, **changed):
    """Content of a file with some tensors changed, None for a missing one."""
    state = model().state_dict() | changed
    return save({k: v for k, v in state.items() if v is not None}, metadata)


class Payload:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return open, ("executed", "w")


OWN = {"motionbeat": json.dumps(ARCHITECTURE)}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        foreign(OWN)[:-100],
        foreign(None),
        foreign({"motionbeat": "no json"}),
        foreign({"motionbeat": "[]"}),
        foreign({"motionbeat": '{"size": "huge"}'}),
        foreign({"motionbeat": '{"size": "tiny", "colour": "red"}'}),
        foreign({"motionbeat": '{"size": "tiny", "phase": "red"}'}),
        foreign({"motionbeat": '{"size": "tiny", "phase_rotation": false}'}),
        foreign(OWN, **{"audio.norm.weight": None}),
        foreign(OWN, **{"audio.norm.weight": torch.zeros(3)}),
        foreign(OWN, **{"audio.other": torch.zeros(3)}),
        pickle.dumps(Payload()),
    ],
)
def test_a_file_that_is_damaged_or_holds_something_else_is_refused(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    assert re.fullmatch(f"{path}: holds no MotionBeat weights .*pretrain", refusal(path))
    assert not Path("executed").exists()


def test_shipped_weights_are_found_by_name_and_checked(shipped):
    assert_same(load_model("motionbeat-toy"), model())
    save_weights(model(seed=1), ARCHITECTURE, shipped / "motionbeat-toy.safetensors")
    assert "SHA-256" in refusal("motionbeat-toy")
    (shipped / "motionbeat-toy.safetensors").unlink()
    assert "install motionbeat again" in refusal("motionbeat-toy")
    assert re.search("motionbeat-huge.*motionbeat-toy", refusal("motionbeat-huge"))
    assert "other kinds of checkpoints may run code" in refusal("weights.ckpt")


def test_a_file_becomes_a_frozen_encoder_whose_card_tells_it_from_others(tmp_path):
    path = tmp_path / "some" / "weights.safetensors"
    save_weights(model(), ARCHITECTURE, path)
    encoder = from_pretrained(path)
    waveform = torch.rand(1, 22_050, generator=torch.Generator().manual_seed(0)) - 0.5
    states = encoder(waveform)
    assert states.shape == (1, encoder.card.layers, 51, encoder.card.width)
    assert encoder.card.parameters == sum(one.numel() for one in encoder.parameters())
    assert encoder.card.name == "weights"
    assert not any(one.requires_grad for one in encoder.parameters())
    save_weights(model(seed=1), ARCHITECTURE, tmp_path / "weights.safetensors")
    other = from_pretrained(tmp_path / "weights.safetensors")
    assert other.card.revision != encoder.card.revision
    assert not torch.equal(other(waveform), states)


def test_live_weights_are_shipped_at_half_precision_without_the_motion_tower(tmp_path, shipped):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trained = LiveMotionBeat("tiny")
    save_weights(trained, ARCHITECTURE | {"live": True}, tmp_path / "trained.safetensors")
    shipped_weights.live(tmp_path / "trained.safetensors", shipped)
    encoder = from_pretrained("motionbeat-live")
    assert isinstance(encoder, LiveEncoder)
    assert not hasattr(load_model("motionbeat-live"), "motion")
    assert load_model("motionbeat-toy").motion
    waveform = torch.rand(1, 88_200, generator=torch.Generator().manual_seed(0)) - 0.5
    found, true = encoder(waveform), from_pretrained(tmp_path / "trained.safetensors")(waveform)
    assert (found - true).abs().max() < 2e-3 * true.abs().max()
    whole, half = (tmp_path / "trained.safetensors", shipped / "motionbeat-live.safetensors")
    assert half.stat().st_size < 0.4 * whole.stat().st_size


def test_shipped_towers_and_sound_stream_may_be_of_two_files(tmp_path, shipped):
    files = [tmp_path / f"{name}.safetensors" for name in ("towers", "sound")]
    made = [model(seed=seed) for seed in (1, 2)]
    for one, file in zip(made, files, strict=True):
        save_weights(one, ARCHITECTURE, file)
    shipped_weights.small(*files, shipped)
    found = load_model("motionbeat-small").state_dict()
    for name, weight in found.items():
        source = made[name.startswith("sound.")]
        assert torch.equal(weight, source.state_dict()[name]), name


def test_the_shipped_encoder_is_small_and_trained():
    file = weights.FOLDER / "motionbeat-small.safetensors"
    assert file.stat().st_size <= 25_000_000
    assert file.with_suffix(".md").is_file()
    encoder, untrained = from_pretrained("motionbeat-small"), MotionBeat("small").audio
    assert encoder.card.name == "motionbeat-small"
    weight = encoder.tower.token.weight
    assert not torch.allclose(weight, untrained.token.weight)
