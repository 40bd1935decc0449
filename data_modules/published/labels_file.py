"""Datasets from CSV files: one row per track, with its audio file and annotations."""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import soundfile

from motionbeat.audio import load_audio
from motionbeat.data_modules.base import (
    SPLITS,
    Annotation,
    Beats,
    DatasetCard,
    DatasetError,
    Emotion,
    Genre,
    Instrument,
    Instruments,
    Labels,
    Moods,
    MotionFile,
    Pitch,
    Split,
    Tags,
    Tempo,
    Track,
)
from motionbeat.data_modules.published.collection import Published, Row
from motionbeat.files import replacing

HELD_OUT = 0.15
"""Share of the groups in the validation split, and in the test split, if the file has no splits."""


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split("|")) if text else frozenset()


def _of_names(kind: type[Labels]) -> Callable[[str], Annotation]:
    return lambda text: kind(_names(text))


COLUMNS: dict[str, tuple[type[Annotation], Callable[[str], Annotation]]] = {
    "label": (Genre, Genre),
    "genre": (Genre, Genre),
    "instrument": (Instrument, Instrument),
    "pitch": (Pitch, Pitch),
    "tempo": (Tempo, lambda text: Tempo(float(text))),
    "tags": (Tags, _of_names(Tags)),
    "instruments": (Instruments, _of_names(Instruments)),
    "moods": (Moods, _of_names(Moods)),
}
"""Columns that hold an annotation as text: the annotation's type, and the parser of the text."""


class LabelsFile(Published):
    """A dataset from a CSV file with one row per track, made by :func:`dataset_of`.

    The file needs the column ``path`` and one annotation. The columns are:

    - ``path``: audio file, relative to the CSV file; ``start`` and ``end``: a segment of it, in
      seconds.
    - ``label`` or ``genre``, ``instrument``, ``pitch``: one class; ``tags``, ``instruments``,
      ``moods``: names separated by ``|``; ``tempo`` in bpm; ``valence`` and ``arousal`` in
      [-1, 1]; ``beats``: a text file, relative to the CSV file, with one beat per line: its time in
      seconds and, if known, its position in the bar; ``motion``: a motion file.
    - ``group``: artist, song or any other unit that must stay within one split; by default the
      audio file.
    - ``split``: train, validation or test; by default a split of the groups that depends on their
      names alone.
    - ``id``: by default the path and the segment.
    """

    file: ClassVar[Path]

    @property
    def folder(self) -> Path:
        """The folder of the file."""
        return self.file.parent

    @property
    def count(self) -> int:  # type: ignore[override]
        """Number of rows in the file."""
        return len(self._rows)

    def rows(self) -> Iterable[Row]:
        """The rows of the file."""
        return self._rows

    def tracks(self, split: Split) -> list[Track]:
        """The tracks of a split in the order of the file; segments are cut on first use."""
        return [self._cut(track) for track in super().tracks(split)]

    @cached_property
    def _table(self) -> pd.DataFrame:
        table = _read(self.file)
        for column in ("start", "end"):
            if column in table:
                with self.reading(f"column {column} of {self.file}"):
                    table[column] = pd.to_numeric(table[column])
        if {"start", "end"} & {*table}:
            if "motion" in table or not {"start", "end"} <= {*table}:
                raise self.error("a segment needs start and end, and cannot have a motion")
            wrong = ~((table["start"] >= 0) & (table["end"] > table["start"]))
            if wrong.any():
                raise self.error(f"{_line(wrong)} has no segment with 0 <= start < end")
        segment = (
            table["start"].astype(str) + "-" + table["end"].astype(str) if "start" in table else ""
        )
        if "id" not in table:
            table["id"] = table["path"] + (":" + segment if "start" in table else "")
        if "group" not in table:
            table["group"] = table["path"]
        for column in ("path", "id", "group"):
            if (empty := table[column] == "").any():
                raise self.error(f"{_line(empty)} has no {column}")
        if "split" not in table:
            table["split"] = table["group"].map(_splits([*table["group"].unique()], self.error))
        elif (unknown := ~table["split"].isin(SPLITS)).any():
            raise self.error(f"{_line(unknown)} has no split of {', '.join(SPLITS)}")
        return table

    @cached_property
    def _rows(self) -> list[Row]:
        return [
            Row(row["split"], row["id"], row["path"], row["group"], self._annotations(row))
            for row in self._table.to_dict("records")
        ]

    @cached_property
    def _segments(self) -> dict[str, tuple[float, float]]:
        """Start and end of each track in seconds, if the file has segments."""
        rows = self._table.to_dict("records")
        return {row["id"]: (row["start"], row["end"]) for row in rows if "start" in row}

    def _annotations(self, row: dict[Any, Any]) -> tuple[Annotation, ...]:
        found: list[Annotation] = []
        with self.reading(f"{self.file}, track {row['id']},"):
            found += [make(row[column]) for column, (_, make) in COLUMNS.items() if column in row]
            if {"valence", "arousal"} <= row.keys():
                found.append(Emotion(float(row["valence"]), float(row["arousal"])))
            if "beats" in row:
                lines: Any = np.loadtxt(self.text(row["beats"]).splitlines(), ndmin=2)
                beats = Beats(lines[:, 0], lines[:, 1] if lines.shape[1] > 1 else None)
                if "start" in row:
                    inside = beats.times < row["end"]
                    positions = beats.positions
                    beats = Beats(
                        beats.times[inside] - row["start"],
                        None if positions is None else positions[inside],
                    )
                found.append(beats)
            if "motion" in row:
                found.append(MotionFile(self.folder / row["motion"]))
        return tuple(found)

    def _cut(self, track: Track) -> Track:
        """Cut the audio of a track to its segment."""
        if track.id not in self._segments:
            return track
        start, end = self._segments[track.id]
        end = min(end, track.duration)
        if start >= end:
            raise self.error(
                f"track {track.id} begins after the end of its file at {track.duration:.2f} s"
            )
        stat = track.audio_path.stat()
        made_of = f"{track.audio_path} {stat.st_size} {stat.st_mtime_ns} {start} {end}"
        name = hashlib.sha256(made_of.encode()).hexdigest()[:16]
        path = self.cache / self.card.name / f"{name}.wav"
        if not path.is_file():
            waveform, rate = load_audio(track.audio_path, channels=2)  # encoders may want stereo
            segment = waveform[round(start * rate) : round(end * rate)]
            with replacing(path) as unfinished:
                soundfile.write(unfinished, segment, rate, format="WAV", subtype="FLOAT")
        return replace(track, audio_path=path, duration=end - start)


def dataset_of(file: Path) -> type[LabelsFile]:
    """Make a dataset class from a CSV file, named after the file.

    Raises:
        DatasetError: the file is missing, unreadable or empty, or lacks columns.
    """
    table = _read(file)
    kinds = {COLUMNS[column][0]: None for column in table if column in COLUMNS}
    kinds |= {Emotion: None} if {"valence", "arousal"} <= {*table} else {}
    kinds |= {Beats: None} if "beats" in table else {}
    kinds |= {MotionFile: None} if "motion" in table else {}
    if not kinds:
        raise DatasetError(
            f"{file} has no column that a task can use; add one of "
            f"{', '.join(COLUMNS)}, valence and arousal, beats or motion"
        )
    card = DatasetCard(
        name=file.stem,
        revision=hashlib.sha256(file.read_bytes()).hexdigest()[:8],
        annotations=tuple(kinds),
        licence="unknown",
        citation="none",
        size=f"{len(table)} tracks",
        how_to_get=f"check {file}",
    )
    # a module that cannot be imported, so that workers receive the class by value
    stated = {"__module__": "labels_files", "card": card, "file": file.resolve()}
    return type(f"LabelsFile_{file.stem}", (LabelsFile,), stated)


def _read(file: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
    except FileNotFoundError as error:
        raise DatasetError(f"{file}: no such file; give the path of a CSV file") from error
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DatasetError(f"{file} is not a readable CSV file ({reason}); correct it") from error
    if "path" not in table:
        raise DatasetError(f"{file} has no column path; add one that names the audio files")
    if table.empty:
        raise DatasetError(f"{file} has no rows; add one row per track")
    return table.map(str.strip)


def _line(wrong: "pd.Series[bool]") -> str:
    return f"line {int(wrong.to_numpy().argmax()) + 2}"


def _splits(groups: Sequence[str], error: Callable[[str], DatasetError]) -> dict[str, Split]:
    """Assign each group to a split; each split gets at least one group."""
    if len(groups) < len(SPLITS):
        raise error(f"{len(groups)} groups cannot be split into three; add a column split")
    order = sorted(groups, key=lambda group: zlib.crc32(group.encode()))
    held_out = max(1, round(HELD_OUT * len(order)))
    return {
        group: "test" if place < held_out else "validation" if place < 2 * held_out else "train"
        for place, group in enumerate(order)
    }
