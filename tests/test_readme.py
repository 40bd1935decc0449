"""What the README and docs/encoders.md show is true: their code runs, their tables are made."""

import re
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
import soundfile
import torch
from tests.clicks import click_track
from tests.command import motionbeat

from motionbeat.benchmarks.registry import DATASETS, ENCODERS
from motionbeat.benchmarks.results_page import PAGES, ROOT, with_tables
from motionbeat.data_modules import GrooveBox
from motionbeat.data_modules.base import DatasetError, Genre
from motionbeat.encoding import encode
from motionbeat.tasks import BeatTracking

README = (ROOT / "README.md").read_text()
COMMANDS_DOC = (ROOT / "docs" / "commands.md").read_text()
ENCODERS_DOC = (ROOT / "docs" / "encoders.md").read_text()
QUICK_START, LOUDNESS, WRAP = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def quick_start(tmp_path_factory):
    """What the quick start leaves behind, on a groovebox of four short pieces."""
    folder = tmp_path_factory.mktemp("quick_start")
    beats = np.arange(0.3, 8, 0.5)
    soundfile.write(folder / "song.mp3", click_track(beats, beats > 0, seconds=8.0), 16000)
    small = {"styles": ["house", "funk"], "seconds": 9.0, "train": 1, "validation": 1, "test": 1}
    namespace = {"waveform": torch.zeros(1, 22050)}
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as printed:
        patch.chdir(folder)
        patch.setenv("MOTIONBEAT_CACHE", str(folder / "cache"))
        patch.setattr(
            GrooveBox.__init__, "__kwdefaults__", GrooveBox.__init__.__kwdefaults__ | small
        )
        patch.setattr(
            BeatTracking, "recipe", replace(BeatTracking.recipe, max_steps=8, check_every=4)
        )
        exec(QUICK_START, namespace)
    return namespace | {"printed": printed.getvalue()}


def test_the_quick_start_runs_as_written(quick_start):
    assert "motionbeat-small" in quick_start["printed"]
    assert "chance" in quick_start["printed"]
    assert len(quick_start["result"].tracks) == 2 * 2 * 3, "two tracks, two heads, three seeds"
    assert "beat_f_measure" in quick_start["result"].tracks
    assert quick_start["states"].shape == (1, 1, 51, 717)
    assert quick_start["task"].head is not None


def test_the_dataset_of_the_docs_gives_tracks(tmp_path, monkeypatch):
    [code] = re.findall(r"```python\n(.*?)```", COMMANDS_DOC, re.DOTALL)
    (tmp_path / "mine.py").write_text(code)
    place = tmp_path / "music" / "mine" / "train" / "waltz" / "a.wav"
    place.parent.mkdir(parents=True)
    soundfile.write(place, np.zeros(4000), 8000)
    monkeypatch.setenv("MOTIONBEAT_DATA", str(tmp_path / "music"))
    kind = DATASETS.get(f"{tmp_path / 'mine.py'}:Mine")
    [track] = kind().tracks("train")
    assert (track.id, track.duration, track.get(Genre).name) == ("a", 0.5, "waltz")
    monkeypatch.delenv("MOTIONBEAT_DATA")
    with pytest.raises(DatasetError, match="set MOTIONBEAT_DATA"):
        kind().tracks("train")


def test_the_encoder_of_the_readme_meets_the_contract(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loudness.py").write_text(LOUDNESS)
    assert motionbeat("check-encoder", "loudness.py:Loudness").code == 0
    encoder = ENCODERS.get("loudness.py:Loudness")()
    waveform = np.zeros(2 * 16000, np.float32)
    waveform[16000] = 1
    features = encode(encoder, waveform)
    assert features.shape[1:] == (1, 1)
    assert abs(features[:, 0, 0].argmax() - 50) <= 1


def test_any_module_becomes_an_encoder():
    asked = []
    module = torch.nn.Unflatten(1, (-1, 320))
    exec(WRAP, {"module": module, "evaluate": lambda *it, **options: asked.append((it, options))})
    [((encoder,), options)] = asked
    assert (encoder.card.layers, encoder.card.width) == (1, 320)
    assert options == {"task": "beat", "dataset": "groovebox"}


def test_the_jukebox_example_meets_the_contract(tmp_path, monkeypatch):
    """With an extractor in its place that gives a state a token, the loudness of its samples."""
    extractor = (
        "import numpy as np\n"
        "def extract(audio, layers):\n"
        "    assert audio.dtype == np.float32 and len(audio) <= 8192 * 128\n"
        "    loudness = np.abs(audio.reshape(-1, 128)).mean(axis=1, keepdims=True)\n"
        "    return {layer: np.repeat(loudness, 4800, axis=1) for layer in layers}\n"
    )
    (tmp_path / "jukemirlib.py").write_text(extractor)
    monkeypatch.syspath_prepend(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", ENCODERS_DOC, re.DOTALL)
    file = tmp_path / "jukebox.py"
    file.write_text(code)
    encoder = ENCODERS.get(f"{file}:Jukebox")()
    assert encoder.unavailable() is None
    waveform = np.zeros(50 * 44100, np.float32)
    waveform[round(23.9 * 44100)] = 1  # in the second window
    features = encode(encoder, waveform)
    assert features.shape[1:] == (1, 4800)
    assert abs(features[:, 0, 0].argmax() - 23.9 * encoder.card.frame_rate) <= 1


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 180


@pytest.mark.parametrize("page", PAGES)
def test_tables_show_the_committed_results(page):
    text = (ROOT / page).read_text()
    assert with_tables(text, ROOT / "results") == text
