"""GTZAN: ten genres in clips of 30 seconds, for genres and, with beats annotated, for rhythm."""

from collections.abc import Iterable

from motionbeat.data_modules.base import SPLITS, Beats, DatasetCard, Genre, Tempo
from motionbeat.data_modules.published.collection import Row, names
from motionbeat.data_modules.published.download import listed
from motionbeat.data_modules.published.mirdata import MirData

_LISTS_URL = (
    "https://raw.githubusercontent.com/jongpillee/music_dataset_split/"
    "07e855758f180ac8bdc0e3abebbde19277094681/GTZAN_split/"
)


class _Gtzan(MirData):
    home = "gtzan"
    loader = "gtzan_genre"

    def clip(self, path: str) -> str:
        """Path of a clip as it is there: copies hold .wav or .au."""
        other = path.removesuffix(".wav") + ".au"
        there = (self.folder / other).is_file() and not (self.folder / path).is_file()
        return other if there else path


class Gtzan(_Gtzan):
    """Genre of a clip; artists are not named, so each clip is a group of its own."""

    card = DatasetCard(
        name="gtzan",
        annotations=(Genre,),
        licence="none stated; for research, the music belongs to its owners",
        citation=(
            "Tzanetakis, Cook. Musical genre classification of audio signals. 2002. "
            "https://doi.org/10.1109/TSA.2002.800560; split: Kereliuk, Sturm, Larsen. Deep "
            "learning and music adversaries. 2015. https://arxiv.org/abs/1507.04761"
        ),
        size="930 of 1 000 clips of 30 s, 7.8 h, mono at 22.05 kHz, 1.2 GB to fetch",
        how_to_get=(
            "run: motionbeat data get gtzan; in copies with an unreadable jazz.00054.wav take that "
            "clip from another copy, or delete it and accept a partial one"
        ),
        source="http://marsyas.info/downloads/datasets.html",
        splits=(
            "the fault-filtered lists of Kereliuk et al. (2015), 443, 197 and 290 clips; no artist "
            "is in two"
        ),
        when_gone="look for a copy of genres.tar.gz, md5 5b3d6dddb579ab49814ab86dba69e7c7",
        relatives=("gtzan_rhythm",),
    )
    count = 930
    parts = ("all",)
    links = listed(
        _LISTS_URL,
        "2b04966cef1486f1a7767b74271533fa23e220388db804a1937835e1fc4fa3fa train_filtered.txt",
        "f8fbee7c52397a0e0f3a91dc54fedecb2e27f5bdc9a9daeab8cb10d077e26956 valid_filtered.txt",
        "09cafa6a89ce0a27f30ed250d56ecb4d03c22fffb5a693f96c7ae655ee02ac72 test_filtered.txt",
    )
    classes = names("blues, classical, country, disco, hiphop, jazz, metal, pop, reggae, rock")

    def rows(self) -> Iterable[Row]:
        """Every clip of the three lists, in their order."""
        for split, remote in zip(SPLITS, self.links, strict=True):
            for clip in self.text(remote.name).split():
                id = clip.rpartition("/")[2].removesuffix(".wav")
                genre = id.partition(".")[0]
                audio = self.clip(f"gtzan_genre/genres/{genre}/{id}.wav")
                yield Row(split, id, audio, id, (Genre(genre),))


class GtzanRhythm(_Gtzan):
    """Beats and tempo of the GTZAN clips but reggae.00086; test only, six without bars."""

    card = DatasetCard(
        name="gtzan_rhythm",
        annotations=(Beats, Tempo),
        licence=Gtzan.card.licence,
        citation=(
            "Marchand, Fresnel, Peeters. GTZAN-Rhythm: extending the GTZAN test-set with beat, "
            "downbeat and swing annotations. ISMIR 2015; audio: Tzanetakis, Cook 2002"
        ),
        size="999 clips of 30 s, 8.3 h, mono at 22.05 kHz, 1.2 GB to fetch; bars known in 993",
        how_to_get="run: motionbeat data get gtzan_rhythm",
        source="https://github.com/TempoBeatDownbeat/gtzan_tempo_beat",
        splits="all clips are for testing, as is usual for beat trackers that train elsewhere",
        when_gone=Gtzan.card.when_gone,
        trained_on="groovebox",
        relatives=("gtzan",),
    )
    count = 999
    parts = ("all", "tempo_beat_annotations")

    def rows(self) -> Iterable[Row]:
        """Every annotated clip, in the order of mirdata's index."""
        for id, track in self.loaded.items():
            if track.beats_path is not None:
                audio = self.clip(self.audio(id))
                yield Row("test", id, audio, id, (self.beats(id), self.tempo(id)))
