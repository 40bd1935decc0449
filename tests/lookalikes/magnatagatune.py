"""A tiny MagnaTagATune: MP3 clips in sixteen folders, a wide table, an unreadable clip."""

from pathlib import Path

from tests import lookalikes

from motionbeat.data_modules.published.magnatagatune import TAGS

HOME = "magnatagatune"
COUNTS = {"magnatagatune": 32}
PATCHES = []

RARE = ("banjo", "jungle", "trance")


def write(folder: Path) -> None:
    columns = [*RARE, *TAGS]
    lines = ["\t".join(f'"{name}"' for name in ("clip_id", *columns, "mp3_path"))]
    for number in range(32):
        letter = f"{number // 2:x}"
        path = f"{letter}/some_choir-an_album-{letter}-a_song-{30 * number}-{30 * number + 29}.mp3"
        held = [int(number == 0)] * len(RARE) + [(number + n) % 2 for n in range(len(TAGS))]
        lines.append("\t".join(f'"{cell}"' for cell in (2 + 3 * number, *held, path)))
        lookalikes.write_audio(folder / path, number, 1.5, 16000)
    path = "6/some_choir-an_album-6-a_song-117-146.mp3"
    lines.append("\t".join(f'"{cell}"' for cell in ("35644", *[1] * len(columns), path)))
    (folder / path).write_bytes(b"")
    (folder / "annotations_final.csv").write_text("\n".join(lines) + "\n")
