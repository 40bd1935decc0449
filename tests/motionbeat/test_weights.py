"""Weights come back as they were written; anything else is refused in one line, and never run."""

import hashlib
import json
import pickle
import re

import pytest
import torch
from safetensors.torch import save_file

from motionbeat import weights
from motionbeat.model import MotionBeat
from motionbeat.weights import WeightsError, from_pretrained, load_model, save_weights

ARCHITECTURE = {"size": "tiny", "phase_rotation": True, "contact_guidance": True}


def model(seed=0, **architecture):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MotionBeat(**(ARCHITECTURE | architecture))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some" / "weights.safetensors"
    save_weights(model(), ARCHITECTURE, path)
    return path


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


@pytest.mark.parametrize("changes", [{}, {"phase_rotation": False, "contact_guidance": False}])
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


def test_unknown_names_and_missing_files_are_refused(shipped, tmp_path):
    message = refusal("motionbeat-huge")
    assert "motionbeat-huge" in message
    assert "motionbeat-toy" in message
    assert "no such file" in refusal(tmp_path / "none.safetensors")


@pytest.mark.parametrize("kept", [0, 4, 0.5, 0.9999])
def test_a_truncated_file_is_refused(kept, file):
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content)) if kept < 1 else kept])
    assert str(file) in refusal(file)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"motionbeat": "no json"},
        {"motionbeat": "[]"},
        {"motionbeat": '{"size": "huge"}'},
        {"motionbeat": '{"size": "tiny", "colour": "red"}'},
    ],
)
def test_a_file_that_does_not_say_what_it_is_is_refused(metadata, tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file(model().state_dict(), path, metadata)
    assert re.fullmatch(f"{path}: .*pretrain", refusal(path))


@pytest.mark.parametrize("change", ["missing", "added", "reshaped"])
def test_tensors_that_do_not_fit_are_refused(change, tmp_path):
    changed = model().state_dict()
    name = "audio.other" if change == "added" else "audio.norm.weight"
    value = changed.pop(name, torch.zeros(2))
    if change != "missing":
        changed[name] = value[:-1].clone()
    path = tmp_path / "other.safetensors"
    save_file(changed, path, {"motionbeat": json.dumps(ARCHITECTURE)})
    assert name in refusal(path)


def test_shipped_weights_are_found_by_name_and_checked(shipped):
    assert_same(load_model("motionbeat-toy"), model())
    save_weights(model(seed=1), ARCHITECTURE, shipped / "motionbeat-toy.safetensors")
    assert "SHA-256" in refusal("motionbeat-toy")
    (shipped / "motionbeat-toy.safetensors").unlink()
    assert "install motionbeat again" in refusal("motionbeat-toy")


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("suffix", ["safetensors", "ckpt"])
def test_pickles_are_refused_and_never_run(suffix, tmp_path):
    trap, path = tmp_path / "executed", tmp_path / f"weights.{suffix}"
    pickled = pickle.dumps(Payload(trap))
    path.write_bytes(pickled)
    assert str(path) in refusal(path)
    assert not trap.exists()
    pickle.loads(pickled).close()
    assert trap.exists()


def test_a_file_becomes_a_frozen_encoder_whose_card_tells_it_from_others(file, tmp_path):
    encoder = from_pretrained(file)
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


def test_the_shipped_encoder_is_small_and_trained():
    file = weights.FOLDER / "motionbeat-small.safetensors"
    assert file.stat().st_size <= 25_000_000
    assert file.with_suffix(".md").is_file()
    encoder, untrained = from_pretrained("motionbeat-small"), MotionBeat("small").audio
    assert encoder.card.name == "motionbeat-small"
    weight = encoder.tower.token.weight
    assert not torch.allclose(weight, untrained.token.weight)
