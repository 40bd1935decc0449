"""A tiny RWC Popular: songs of seven singers on three CDs, with the table that names them."""

from pathlib import Path

from tests import lookalikes
from tests.mirdata_index import write_index

HOME = "rwc_popular"
COUNTS = {"rwc_popular": 21}
PATCHES = []

SINGERS = ("Kazuo Nishi", "Hiromi Yoshii", "Rin", "Betty", "MIT", "Donna Burke", "Shinya Iguchi")
HEADER = (
    "Piece No.,Cat. Suffix,Tr. No.,Title,Artist (Vocal),Singer Information,Length,Tempo,"
    "Live Instruments Used,Drum Information\n"
)


def write(folder: Path) -> None:
    tracks, lines = {}, [HEADER]
    for number in range(1, 22):
        disc, place = (number - 1) // 7 + 1, (number - 1) % 7 + 1
        singer = SINGERS[number % 7]
        lines.append(
            f"No. {number},M{disc:02d},Tr. {place:02d},Song,{singer},Male,03:29,120,Gt,Drum loops\n"
        )
        root, name = "annotations/AIST.RWC-MDB-P-2001", f"RM-P{number:03d}"
        tracks[name] = files = {
            "audio": f"audio/rwc-p-m{disc:02d}/{place}.wav",
            "sections": None,
            "beats": f"{root}.BEAT/{name}.BEAT.TXT",
            "chords": None,
            "voca_inst": None,
        }
        lookalikes.write_audio(folder / files["audio"], number, 5, 44100, channels=2)
        (folder / files["beats"]).parent.mkdir(parents=True, exist_ok=True)
        # Hundredths of a second, and 384 on the first beat of a bar, else its place in ticks.
        beats = [(20 + 50 * n, (384, 48, 96, 144)[(n + 2) % 4]) for n in range(9)]
        (folder / files["beats"]).write_text("".join(f"{t}\t{t}\t{p}\n" for t, p in beats))
    table = "metadata-master/rwc-p.csv"
    (folder / table).parent.mkdir()
    (folder / table).write_text("".join(lines))
    write_index(folder, "rwc_popular_index_1.0.json", tracks, {"rwc-p": table})
