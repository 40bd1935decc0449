import hashlib
import json

import numpy as np
import pytest
import soundfile

from motionbeat.data_modules.base import (
    SPLITS,
    Beats,
    DatasetError,
    Emotion,
    Instruments,
    Tags,
)
from motionbeat.data_modules.rendered.groovebox import GrooveBox
from motionbeat.data_modules.rendered.synthesis import render

PINNED = {
    "audio": "496f458375d7f076265cb17dcd389cdfa736eea1f85a58f8e42084b09983cb6e",
    "labels": "38d8cc6cdda60edd2a01c42d79bade122526c2b095fdc92f5f963f54a020b96a",
}
"""When this changes, the music has changed: raise the revision of the card."""


def tiny(cache, **options):
    sizes = {"train": 1, "validation": 1, "test": 1, "seconds": 5.0, "styles": ["house", "jig"]}
    return GrooveBox(cache=cache, **(sizes | options))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    dataset = tiny(tmp_path_factory.mktemp("cache"))
    dataset.prepare_data()
    return dataset


def digests(dataset):
    """Sums over decoded audio and over labels, so that no version of a codec matters."""
    audio, labels = hashlib.sha256(), hashlib.sha256()
    for split in SPLITS:
        for track in dataset.tracks(split):
            samples, _ = soundfile.read(track.audio_path, dtype="int16")
            audio.update(samples.tobytes())
            known = [
                track.id, track.group, track.duration, track.get(Beats).times.round(9).tolist(),
                track.get(Beats).positions.tolist(), sorted(track.get(Instruments).names),
                sorted(track.get(Tags).names), track.get(Emotion).valence,
                track.get(Emotion).arousal,
            ]  # fmt: skip
            labels.update(json.dumps(known).encode())
    return {"audio": audio.hexdigest(), "labels": labels.hexdigest()}


def test_music_and_labels_are_those_of_this_revision(made):
    assert digests(made) == PINNED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": 0}, "1 piece a style"),
        ({"styles": ["hosue"]}, r"no style \['hosue'\].*house"),
    ],
)
def test_options_out_of_range_are_one_clear_error(tmp_path, options, message):
    with pytest.raises(DatasetError, match=message):
        GrooveBox(cache=tmp_path, **options)


def other_soundfont(path):
    """The usual soundfont with its samples played as squares."""
    content = bytearray(render.usual_soundfont().read_bytes())
    at = content.index(b"smpl", content.index(b"sdta"))
    size = int.from_bytes(content[at + 4 : at + 8], "little")
    samples = np.frombuffer(content[at + 8 : at + 8 + size], "<i2")
    content[at + 8 : at + 8 + size] = (np.sign(samples) * 8000).astype("<i2").tobytes()
    path.write_bytes(content)
    return path


def test_training_pieces_are_played_with_further_soundfonts_now_and_then(made, tmp_path):
    dataset = tiny(tmp_path, train=6, soundfonts=[str(other_soundfont(tmp_path / "other.sf2"))])
    usual = tiny(tmp_path, train=6)
    dataset.prepare_data()
    usual.prepare_data()
    assert dataset.revision != usual.revision

    def sounds(split):
        pairs = zip(dataset.tracks(split), usual.tracks(split), strict=True)
        return [
            np.array_equal(*(soundfile.read(track.audio_path)[0] for track in pair))
            for pair in pairs
        ]

    assert 0 < np.mean(sounds("train")) < 1
    assert all(sounds("validation") + sounds("test"))
    for one, other in zip(dataset.tracks("train"), usual.tracks("train"), strict=True):
        assert np.array_equal(one.get(Beats).times, other.get(Beats).times)


def test_a_soundfont_that_is_none_is_one_clear_error(tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere\.sf2 is no file"):
        tiny(tmp_path, soundfonts=["nowhere.sf2"])
    broken = tmp_path / "broken.sf2"
    broken.write_bytes(b"RIFF")
    part = render.Part("lead", "piano", 0, (render.Note(0.0, 0.2, 60, 90),))
    with pytest.raises(DatasetError, match="no General MIDI soundfont") as error:
        render.render([part], 0.5, soundfont=broken)
    assert "\n" not in str(error.value)
