"""A tiny ASAP: performances with and without audio, upbeats, free bars, metres behind the beats."""

from pathlib import Path

from tests import lookalikes

HOME = "asap"
COUNTS = {"asap": 28}
PATCHES = []

HEADER = (
    "composer,title,folder,xml_score,midi_score,midi_performance,performance_annotations,"
    "midi_score_annotations,maestro_midi_performance,maestro_audio_performance,start,end,"
    "audio_performance"
)
LABELS = ("b,,0", "db,3/4", "b", "bR", "db", "b")


def write(folder: Path) -> None:
    rows = [HEADER]
    for number in range(14):
        piece = f"Chopin/Etudes_op_10/{number + 1}"
        for player in ("Lin04", "Zhou01"):
            rows.append(row(f"Etudes_op_10_{number + 1}", piece, player, recorded=True))
            annotate(folder, piece, player)
            lookalikes.write_audio(folder / piece / f"{player}.wav", number, 2.5, 44100, channels=2)
    rows.append(row("Etudes_op_10_1", "Chopin/Etudes_op_10/1", "Nobody02M", recorded=False))
    rows.append(row("Fugue_bwv_874", "Bach/Fugue/bwv_874", "BianF01", recorded=True))
    annotate(folder, "Bach/Fugue/bwv_874", "BianF01")
    lookalikes.write_audio(folder / "Bach/Fugue/bwv_874/BianF01.wav", 1, 2.5, 44100, channels=2)
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")


def row(title: str, piece: str, player: str, *, recorded: bool) -> str:
    """A row of the table."""
    take = f"{piece}/{player}"
    maestro = "{maestro}/2008/take"
    cells = [piece.partition("/")[0], title, piece, f"{piece}/xml_score.musicxml"]
    cells += [f"{piece}/midi_score.mid", f"{take}.mid", f"{take}_annotations.txt"]
    cells += [f"{piece}/midi_score_annotations.txt"]
    cells += [f"{maestro}.midi", f"{maestro}.wav", "69.3", ""] if recorded else [""] * 4
    return ",".join([*cells, f"{take}.wav" if recorded else ""])


def annotate(folder: Path, piece: str, player: str) -> None:
    """Write the beats of a performance."""
    (folder / piece).mkdir(parents=True, exist_ok=True)
    lines = [f"{0.5 + n / 3:.6f}\t{0.5 + n / 3:.6f}\t{label}\n" for n, label in enumerate(LABELS)]
    (folder / piece / f"{player}_annotations.txt").write_text("".join(lines))
