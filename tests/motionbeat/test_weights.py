"""Weights come back as they were written; anything else is refused in one line, and never run."""

import hashlib
import json
import pickle
import zipfile

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
    save_weights(model(), ARCHITECTURE, folder / "motionbeat-toy.safetensors")
    written = (folder / "motionbeat-toy.safetensors").read_bytes()
    digests = {"motionbeat-toy": hashlib.sha256(written).hexdigest()}
    (folder / "sha256.json").write_text(json.dumps(digests))
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


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"phase_rotation": False},
        {"contact_guidance": False},
        {"phase_rotation": False, "contact_guidance": False},
    ],
)
def test_what_is_written_is_read_bit_by_bit(changes, tmp_path):
    saved = model(seed=5, **changes)
    save_weights(saved, ARCHITECTURE | changes, tmp_path / "one.safetensors")
    loaded = load_model(tmp_path / "one.safetensors")
    assert_same(loaded, saved)
    kinds = [[type(one) for one in each.modules()] for each in (loaded, saved)]
    assert kinds[0] == kinds[1]
    assert not any(one.training for one in loaded.modules())
    assert not any(one.requires_grad for one in loaded.parameters())


def test_the_same_model_gives_the_same_file(file, tmp_path):
    reordered = dict(reversed(ARCHITECTURE.items()))
    save_weights(model(), reordered, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()


def test_names_may_be_given_as_text_or_path(file):
    assert_same(load_model(str(file)), load_model(file))


@pytest.mark.parametrize("suffix", ["pt", "ckpt", "pkl", "pth", "bin", "safetensors.pt"])
def test_other_kinds_of_checkpoints_are_refused(suffix, tmp_path):
    path = tmp_path / f"weights.{suffix}"
    torch.save(model().state_dict(), path)
    assert "safetensors" in refusal(path)


def test_unknown_names_are_told_those_there_are(shipped):
    message = refusal("motionbeat-huge")
    assert "motionbeat-huge" in message
    assert "motionbeat-toy" in message


def test_a_missing_file_is_named(tmp_path):
    assert str(tmp_path / "none.safetensors") in refusal(tmp_path / "none.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    assert "no such file" in refusal(tmp_path / "folder.safetensors")


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, -1])
def test_a_truncated_file_is_refused(kept, file):
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    assert str(file) in refusal(file)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"format": "pt"},
        {"motionbeat": "no json"},
        {"motionbeat": "null"},
        {"motionbeat": "[]"},
        {"motionbeat": '{"size": "huge"}'},
        {"motionbeat": '{"size": ["tiny"]}'},
        {"motionbeat": '{"size": "tiny", "colour": "red"}'},
    ],
)
def test_a_file_that_does_not_say_what_it_is_is_refused(metadata, tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file(model().state_dict(), path, metadata)
    message = refusal(path)
    assert str(path) in message
    assert "pretrain" in message


@pytest.mark.parametrize("change", ["missing", "added", "reshaped"])
def test_tensors_that_do_not_fit_are_named(change, tmp_path):
    changed = model().state_dict()
    name = "audio.norm.weight"
    if change == "missing":
        del changed[name]
    elif change == "added":
        changed[name := "audio.other"] = torch.zeros(2)
    else:
        changed[name] = changed[name][:-1].clone()
    path = tmp_path / "other.safetensors"
    save_file(changed, path, {"motionbeat": json.dumps(ARCHITECTURE)})
    message = refusal(path)
    assert f"1 tensors, such as {name}" in message
    assert "tiny" in message


def test_weights_of_another_architecture_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_weights(model(), ARCHITECTURE | {"size": "small"}, path)
    assert "small" in refusal(path)
    save_weights(model(contact_guidance=False), ARCHITECTURE, path)
    assert "guidance" in refusal(path)


def test_shipped_weights_are_found_by_name(shipped):
    assert_same(load_model("motionbeat-toy"), model())


def test_shipped_weights_with_another_digest_are_refused(shipped):
    save_weights(model(seed=1), ARCHITECTURE, shipped / "motionbeat-toy.safetensors")
    assert "SHA-256" in refusal("motionbeat-toy")


def test_shipped_weights_that_are_gone_are_missed(shipped):
    (shipped / "motionbeat-toy.safetensors").unlink()
    assert "install motionbeat again" in refusal("motionbeat-toy")


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "ckpt", "pkl"])
@pytest.mark.parametrize("zipped", [False, True])
def test_pickles_are_refused_and_never_run(suffix, zipped, tmp_path):
    trap, path = tmp_path / "executed", tmp_path / f"weights.{suffix}"
    pickled = pickle.dumps(Payload(trap))
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("weights/data.pkl", pickled)
            archive.writestr("weights/version", "3")
    else:
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


def test_shipped_weights_are_known_by_name_small_and_trained():
    file = weights.FOLDER / "motionbeat-small.safetensors"
    assert file.stat().st_size <= 25_000_000
    assert file.with_suffix(".md").is_file()
    encoder = from_pretrained("motionbeat-small")
    assert encoder.card.name == "motionbeat-small"
    waveform = torch.rand(1, 22_050, generator=torch.Generator().manual_seed(0)) - 0.5
    states = encoder(waveform)
    assert states.shape == (1, encoder.card.layers, 51, encoder.card.width)
    untrained = MotionBeat("small").audio.state_dict()
    assert all(
        not torch.equal(value, untrained[name])
        for name, value in encoder.tower.state_dict().items()
        if name.endswith("weight")
    )
