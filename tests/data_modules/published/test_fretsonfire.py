"""Frets on Fire from look-alikes of its data folder and of its Debian packages."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.lookalikes import write_text

from motionbeat.audio import load_audio
from motionbeat.data_modules.base import Beats, DatasetError, Tempo
from motionbeat.data_modules.published import fretsonfire
from motionbeat.data_modules.published.fretsonfire import PACKAGES, SONGS, FretsOnFire, Song

RATE = 44_100
SMALL = {
    "chaos_god": Song("muldjord", 120, 2.0),
    "feelings": Song("sectoid", 90, 1.5),
    "metal_madness": Song("sectoid", 240, 1.0),
}
DATA = os.environ.get("MOTIONBEAT_DATA")
needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb")


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Three short songs, no installed packages, and no way to the network."""
    monkeypatch.setattr(fretsonfire, "SONGS", SMALL)
    monkeypatch.setattr(FretsOnFire, "count", len(SMALL))
    monkeypatch.setattr(fretsonfire, "INSTALLED", tmp_path / "installed")
    monkeypatch.delenv("MOTIONBEAT_DATA", raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def tone(seconds: float, frequency: float, rate: int = RATE) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def write_data(folder: Path) -> Path:
    (folder / "fretsonfire").mkdir(parents=True)
    for name, song in SMALL.items():
        path = folder / "fretsonfire" / f"{name}.ogg"
        soundfile.write(path, tone(song.seconds, 300, 22_050), 22_050)
    return folder


def write_packs(songs: Path) -> Path:
    """Stems as the packages have them: stereo, and the sectoid folders named with spaces."""
    for name, song in SMALL.items():
        title = name.capitalize().replace("_", " ") if song.artist == "sectoid" else name
        folder = songs / song.artist / title
        folder.mkdir(parents=True)
        for stem, frequency in (("song", 200), ("guitar", 1000)):
            sound = tone(song.seconds, frequency)
            soundfile.write(folder / f"{stem}.ogg", np.stack([sound, sound], axis=1), RATE)
    return songs


def fake_apt(tmp_path: Path, script: str) -> None:
    for tool in ("dpkg-deb", "tar", "cp", "rm"):
        found = shutil.which(tool, path=os.defpath + ":/usr/bin:/bin")
        (tmp_path / "bin" / tool).symlink_to(str(found))
    path = tmp_path / "bin" / "apt-get"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def build_packages(tmp_path: Path) -> Path:
    """The two packages, with their songs where this test expects installed ones."""
    archive = tmp_path / "archive"
    archive.mkdir()
    songs = write_packs(tmp_path / "songs")
    for artist, package in PACKAGES.items():
        root = tmp_path / package
        about = {
            "Package": package,
            "Version": 1,
            "Architecture": "all",
            "Maintainer": "T <t@e.org>",
        }
        lines = [f"{name}: {value}" for name, value in (about | {"Description": "songs"}).items()]
        write_text(root / "DEBIAN" / "control", lines)
        place = root / fretsonfire.INSTALLED.relative_to("/") / artist
        shutil.copytree(songs / artist, place)
        subprocess.run(
            ["/usr/bin/dpkg-deb", "--build", root, archive / f"{package}_1_all.deb"],
            check=True,
            capture_output=True,
            env={"PATH": "/usr/bin:/bin"},
        )
    return archive


def check_songs(dataset: FretsOnFire) -> None:
    tracks = dataset.tracks("test")
    assert [track.id for track in tracks] == list(SMALL)
    assert dataset.tracks("train") == dataset.tracks("validation") == []
    chaos_god, feelings, madness = tracks
    np.testing.assert_allclose(chaos_god.get(Beats).times, [0, 0.5, 1.0, 1.5])
    np.testing.assert_allclose(feelings.get(Beats).times, [0, 2 / 3, 4 / 3])
    # The grid's beat at 1.0 s falls on the last sample and is not heard.
    np.testing.assert_allclose(madness.get(Beats).times, [0, 0.25, 0.5, 0.75])
    assert feelings.get(Beats).positions is None
    assert feelings.get(Tempo).bpm == 90
    for track in tracks:
        waveform, rate = load_audio(track.audio_path)
        assert len(waveform) / rate == pytest.approx(track.duration, abs=1e-6)


def test_songs_of_the_data_folder_are_used_in_place(tmp_path):
    data = write_data(tmp_path / "data")
    dataset = FretsOnFire(cache=tmp_path / "cache", data=data)
    dataset.prepare_data()
    assert dataset.revision == "1-data"
    check_songs(dataset)
    soundfile.write(data / "fretsonfire" / "metal_madness.ogg", tone(0.5, 300), RATE)
    with pytest.raises(DatasetError, match=r"metal_madness not whole.*MOTIONBEAT_DATA"):
        FretsOnFire(cache=tmp_path / "cache", data=data).prepare_data()


def test_installed_stems_are_mixed_once_and_again_when_damaged(tmp_path):
    write_packs(tmp_path / "installed")
    dataset = FretsOnFire(cache=tmp_path / "cache", data=tmp_path)
    dataset.prepare_data()
    assert dataset.revision == "1-packages"
    check_songs(dataset)
    path = dataset.tracks("test")[0].audio_path
    waveform, rate = load_audio(path)
    assert rate == RATE
    spectrum = np.abs(np.fft.rfft(waveform))
    assert sorted(np.argsort(spectrum)[-2:] / 2.0) == [200, 1000]  # both stems
    assert np.abs(waveform).max() == pytest.approx(0.95, abs=1e-3)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    dataset.prepare_data()
    assert path.read_bytes() == whole
    shutil.rmtree(tmp_path / "installed")
    dataset.prepare_data()  # the mixes are enough


def test_a_missing_dataset_names_both_ways_to_get_it(tmp_path):
    with pytest.raises(DatasetError) as caught:
        FretsOnFire(cache=tmp_path).prepare_data()
    assert all(words in str(caught.value) for words in ("MOTIONBEAT_DATA", *PACKAGES.values()))


@needs_dpkg
@pytest.mark.parametrize(
    "script",
    [
        'cp {archive}/"$2"_1_all.deb .',
        # a system without lists of packages gets them first
        'case "$*" in *update) : > lists/updated;; *Lists*) cp {archive}/"$6"_1_all.deb .;;'
        " *) exit 100;; esac",
    ],
)
def test_packages_are_fetched_and_unpacked_into_the_cache(tmp_path, script):
    fake_apt(tmp_path, script.format(archive=build_packages(tmp_path)))
    dataset = FretsOnFire(cache=tmp_path / "cache")
    dataset.prepare_data()
    check_songs(dataset)
    shutil.rmtree(dataset.cache / "fretsonfire" / dataset.revision)
    (tmp_path / "bin" / "apt-get").unlink()
    dataset.prepare_data()  # from the cached packages


@needs_dpkg
def test_a_failing_download_gives_its_reason(tmp_path):
    fake_apt(tmp_path, "echo E: no route to the archive >&2; exit 100")
    with pytest.raises(DatasetError, match="no route to the archive; set MOTIONBEAT_DATA"):
        FretsOnFire(cache=tmp_path / "cache").prepare_data()


@pytest.mark.skipif(not DATA, reason="needs real recordings: set MOTIONBEAT_DATA")
def test_real_songs(tmp_path, monkeypatch):
    monkeypatch.setattr(fretsonfire, "SONGS", SONGS)
    monkeypatch.setattr(FretsOnFire, "count", len(SONGS))
    data = Path(str(DATA))
    dataset = FretsOnFire(cache=tmp_path, data=data)
    dataset.prepare_data()
    tracks = dataset.tracks("test")
    assert len(tracks) == 8
    assert sum(track.duration for track in tracks) / 60 == pytest.approx(26.86, abs=0.02)
    rows = [line.split(",") for line in (data / "fretsonfire/meta.csv").read_text().split()[1:]]
    facts = {song: (pack, float(bpm)) for song, pack, bpm, _ in rows}
    assert {track.id: (track.group, track.get(Tempo).bpm) for track in tracks} == facts
    for track in tracks:
        beats = track.get(Beats).times
        assert beats[0] == 0
        assert track.duration - 60 / track.get(Tempo).bpm - 0.06 < beats[-1] < track.duration
