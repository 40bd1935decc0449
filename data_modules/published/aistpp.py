"""AIST++: street and jazz dances reconstructed from the videos of the AIST Dance Database."""

import re
import zlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from motionbeat.data_modules.base import DatasetCard, Genre, MotionFile, Split, Tempo
from motionbeat.data_modules.motion_formats import read_pickle
from motionbeat.data_modules.published.collection import Row
from motionbeat.data_modules.published.danced import Danced
from motionbeat.motion import Motion

GENRES = {
    "BR": "break",
    "PO": "pop",
    "LO": "lock",
    "MH": "middle_hip_hop",
    "LH": "la_hip_hop",
    "HO": "house",
    "WA": "waack",
    "KR": "krump",
    "JS": "street_jazz",
    "JB": "ballet_jazz",
}
"""Dance genres by the code in a name: gBR_sBM_cAll_d04_mBR0_ch01 is genre, situation, camera,
dancer, music and choreography."""

_NAME = re.compile(r"g([A-Z]{2})_s[BF]M_cAll_d\d+_(m([A-Z]{2})([0-5]))_ch\d+")


class AistPlusPlus(Danced):
    """992 dances to 60 songs of ten genres and known tempo; songs of one split are in no other.

    Both official lists of held-out dances are the test set, as in Bailando and Lodge.
    """

    card = DatasetCard(
        name="aistpp",
        annotations=(Genre, Tempo, MotionFile),
        licence="CC BY 4.0 (motions); AIST's terms of use (music): evaluate only",
        citation=(
            "Li et al. AI Choreographer: Music Conditioned 3D Dance Generation with AIST++. ICCV "
            "2021. https://arxiv.org/abs/2101.08779; Tsuchida et al. AIST Dance Video Database. "
            "ISMIR 2019"
        ),
        size="992 dances of 7 to 48 s to 60 songs, 4 h, of the 1 408 published",
        how_to_get=(
            "accept the terms at the source, unpack the annotations (motions/, splits/, "
            "ignore_list.txt) into MOTIONBEAT_DATA/aistpp/, and put the songs of "
            "https://aistdancedb.ongaaccel.jp/database_download/ there as music/mBR0.wav and so "
            "on, or audio cut to each dance as wavs/<dance>.wav"
        ),
        source="https://google.github.io/aistplusplus_dataset/download.html",
        splits=(
            "crossmodal_val and crossmodal_test, which share ten songs, are tested on; of "
            "crossmodal_train one song a genre, by a hash of its name, is validated on"
        ),
        when_gone="the repository google/aistplusplus_api leads to the authors",
        relatives=("AIST Dance Video Database",),
    )
    count = 992

    def rows(self) -> Iterable[Row]:
        """The dances of the cross-modal lists, in their order."""
        ignored = set(self.text("ignore_list.txt").split())
        lists = {
            part: self.text(f"splits/crossmodal_{part}.txt").split()
            for part in ("train", "test", "val")
        }
        held = held_out({self._parts(id)[1] for id in lists["train"] if id not in ignored})
        for part, ids in lists.items():
            for id in ids:
                if id in ignored:
                    continue
                code, song, letters, number = self._parts(id)
                genre = self.lookup(id, "genre", code, GENRES)
                split: Split = "test"
                if part == "train":
                    split = "validation" if song in held else "train"
                music = f"music/{song}.wav"
                audio = music if (self.folder / music).is_file() else f"wavs/{id}.wav"
                known = Genre(genre), Tempo(tempo(letters, int(number)))
                yield Row(split, id, audio, song, known, motion=f"motions/{id}.pkl")

    @staticmethod
    def read(path: Path, id: str) -> Motion:
        """SMPL rotations at 60 frames a second, y up."""
        return read_pickle(path)

    def _parts(self, id: str) -> tuple[str, ...]:
        """Genre, song, and the song's genre and number, as the name of a dance says them."""
        parts = _NAME.fullmatch(id)
        if parts is None:
            raise self.error(f"{self.folder}/splits lists '{id}', which names no dance")
        return parts.groups()


def tempo(genre: str, number: int) -> float:
    """Beats a minute of song ``number`` of a genre: 110 + 5 n for house, 80 + 10 n for the others.

    After Tsuchida et al. (2019).
    """
    return 110.0 + 5 * number if genre == "HO" else 80.0 + 10 * number


def held_out(songs: set[str]) -> set[str]:
    """One song of every genre."""
    by_genre = defaultdict(list)
    for song in songs:
        by_genre[song[:3]].append(song)
    return {min(group, key=lambda song: zlib.crc32(song.encode())) for group in by_genre.values()}
