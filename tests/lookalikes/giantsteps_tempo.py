"""A tiny GiantSteps tempo: MP3 previews, two rounds of annotation, ten folds, one without tempo."""

import json
from pathlib import Path

from tests import lookalikes
from tests.mirdata_index import write_index

HOME = "giantsteps_tempo"
COUNTS = {"giantsteps_genre": 30, "giantsteps_tempo": 30}
PATCHES = []

ROOT = "giantsteps-tempo-dataset-0b7d47ba8cae59d3535a02e3db69e2cf6d0af5bb"
STYLES = ("trance", "drum-and-bass", "glitch-hop")


def write(folder: Path) -> None:
    names = [f"{28952 + 1000 * number}.LOFI" for number in range(30)] + ["3041381.LOFI"]
    tracks: dict[str, dict[str, str | None]] = {}
    for number, name in enumerate(names):
        files = {
            "audio": f"audio/{name}.mp3",
            "annotation_v1": f"{ROOT}/annotations/jams/{name}.jams",
            "annotation_v2": f"{ROOT}/annotations_v2/jams/{name}.jams",
        }
        lookalikes.write_audio(folder / files["audio"], number, 2, 22050)
        first = [said("tempo", [(120.0, 1.0)]), said("tag_open", [(STYLES[number // 10 % 3], 1.0)])]
        heard = [(60.0 + number, 0.25), (120.0 + 2 * number, 0.75)][number % 2 :]
        second = [said("tempo", heard if number < 30 else [])]
        for kind, annotations in (("annotation_v1", first), ("annotation_v2", second)):
            (folder / files[kind]).parent.mkdir(parents=True, exist_ok=True)
            (folder / files[kind]).write_text(json.dumps({"annotations": annotations}, indent=2))
        tracks[str(number)] = files
    (folder / ROOT / "splits").mkdir()
    for fold in range(10):
        listed = "\n".join(f"{name}.mp3" for name in names[fold::10])
        (folder / ROOT / f"splits/fold{fold + 1:02d}.txt").write_text(listed)
    write_index(folder, "giantsteps_tempo_index_2.0.json", tracks)


def said(namespace: str, values: list[tuple[object, float]]) -> dict[str, object]:
    """An annotation of a JAMS file, of values and how sure they are."""
    data = [
        {"time": 0.0, "duration": 120.0, "value": value, "confidence": sure}
        for value, sure in values
    ]
    return {"namespace": namespace, "data": data, "time": 0, "duration": None, "sandbox": {}}
