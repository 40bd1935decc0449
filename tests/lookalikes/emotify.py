"""A tiny Emotify with artists; another as first published: single answers, numbered MP3s."""

from pathlib import Path

from tests import lookalikes

from motionbeat.data_modules.published.emotify import EMOTIONS, GENRES

HOME = "emotify"
COUNTS = {"emotify": 40}
PATCHES = []


def write(folder: Path) -> None:
    """Ten artists a genre; the emotions peak in other tracks, in each fold."""
    header = "track,genre,artist,album,title,year,id3_genre,n_ratings,seconds"
    lines = [",".join((header, *EMOTIONS))]
    for number in range(40):
        track, genre = 1 + 100 * (number // 10) + number % 10, GENRES[number // 10]
        rates = (f"{(number + 10 * place) % 40 / 40:.4f}" for place in range(9))
        lines.append(
            f'{track},{genre},Artist {number},"An album, or two",Song,2008,Any,48,30.0,'
            + ",".join(rates)
        )
        lookalikes.write_audio(folder / f"audio/{track:03d}.ogg", number, 1.5)
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def write_whole(folder: Path) -> int:
    """As first published, six files a genre; how many tracks there are."""
    header = ["track id", "genre", *EMOTIONS]
    header += ["mood", "liked", "disliked", "age", "gender", "mother tongue"]
    lines = [", ".join(header)]
    numbers = (1, 2, 3, 4, 5, 100)
    for place, genre in enumerate(GENRES):
        for number in numbers:
            for listener in range(3):
                felt = (str(int((number + listener + n) % 4 == 0)) for n in range(9))
                lines.append(f"{100 * place + number},{genre},{','.join(felt)},3,1,0,31,0,Dutch")
            path = folder / f"emotifymusic/{genre}/{number}.mp3"
            lookalikes.write_audio(path, number, 1.5, 44100)
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    return len(GENRES) * len(numbers)
