"""What a report lets people hear and watch: predictions of kept probes for some test tracks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit

from motionbeat.benchmarks.evaluator import Evaluation, Folders, plan
from motionbeat.benchmarks.extraction import embed
from motionbeat.benchmarks.protocol import Probing
from motionbeat.benchmarks.records import NO_HEAD
from motionbeat.benchmarks.registry import DATASETS, ENCODERS
from motionbeat.benchmarks.report.dance_viewer import Shown, ogg, viewer_data
from motionbeat.benchmarks.report.gathered import Cell, Column, Gathered, command
from motionbeat.benchmarks.report.licences import copies
from motionbeat.benchmarks.report.writing import packed, write_data
from motionbeat.benchmarks.store import store_of
from motionbeat.console import bar, say
from motionbeat.data_modules.base import Beats, Clips, MotionFile, Track, collate
from motionbeat.errors import MotionBeatError
from motionbeat.files import write_atomically
from motionbeat.motion import Motion
from motionbeat.tasks.beat_tracking import BeatTracking
from motionbeat.tasks.cutting import Outputs, unpadded
from motionbeat.tasks.dance_generation import DanceGeneration, RealDance, real_dance
from motionbeat.tasks.metrics.per_track import Floats
from motionbeat.tasks.music_motion_retrieval import CLIP, MusicMotionRetrieval
from motionbeat.tasks.task import Task
from motionbeat.threads import one_thread

PEAKS = 50  # a second, of the waveform
NEAREST = 3  # dances shown for a clip of music
_BEST, _WORST = 3, 1  # encoders that are shown where none is named
DANCE_SCORES = {"bas_fact": "BAS", "pfc": "PFC", "bas_fact_sensitivity": "own - others"}


@dataclass(eq=False)
class Media:
    """What there is to hear and watch.

    Attributes:
        tracks: numbers of tracks with audio, by dataset and track.
        dances: songs with dances: dataset, track and the name of their data.
        notes: what the pages say of what is missing.
        credits: licence and source of what is there.
    """

    tracks: dict[str, dict[str, int]] = field(default_factory=dict)
    dances: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    credits: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Say something here and on the pages."""
        say(text)
        self.notes.append(text)


def write_media(
    out: Path,
    gathered: Gathered,
    count: int,
    dataset: str,
    dataset_options: Mapping[str, Any],
    encoders: Sequence[str] | None,
    folders: Folders,
) -> Media:
    """Write audio, predicted beats, nearest dances and dances of the first test tracks.

    Where something is missing, the report is made without it and says so.

    Args:
        out: folder of the report.
        gathered: its columns.
        count: of the tracks.
        dataset: whose tracks.
        dataset_options: arguments of the dataset.
        encoders: whose predictions; the best three and the last one where None.
        folders: where kept probes and data lie.
    """
    media = Media()
    card = DATASETS.get(dataset).card
    if not copies(card.licence):
        media.note(
            f"no audio of {card.name}: its licence ({card.licence}) does not allow copies of all "
            "its recordings"
        )
        return media
    columns = [column for column in gathered.columns if column.record.dataset == card.name]
    if not columns:
        media.note(f"no audio of {card.name}: there are no records of it; run motionbeat bench")
        return media
    shown: dict[str, dict[str, Any]] = {}
    tracks: list[Track] = []
    for column in columns:
        try:
            evaluation = plan(column.task.name, dataset, folders, dataset_options=dataset_options)
            if evaluation.revision != (revision := column.record.dataset_revision):
                media.note(
                    f"{column.task.name} on {card.name} cannot be heard: its records are of "
                    f"revision {revision}, and these options make {evaluation.revision}; "
                    "give them by --dataset_options"
                )
                continue
            tracks = evaluation.folds[0].tracks["test"][:count]
            for track in tracks:
                if track.id not in shown:
                    shown[track.id] = _heard(out, len(shown), track)
            probes = _Probes(column, evaluation, encoders, media)
            with one_thread():
                if column.task is BeatTracking:
                    _add_beats(shown, tracks, probes)
                elif column.task is MusicMotionRetrieval:
                    _add_nearest(shown, tracks, probes)
                elif column.task is DanceGeneration:
                    _add_dances(out, shown, tracks, probes, media)
        except (MotionBeatError, OSError) as error:
            media.note(f"{column.task.name} on {card.name} cannot be heard: {error}")
    for number, (id, data) in enumerate(shown.items()):
        write_data(out, f"media-{number}", data)
        media.tracks.setdefault(card.name, {})[id] = number
    if shown:
        media.credits.append(f"Audio of {card.name}: {card.licence}. {card.citation}")
    return media


def _heard(out: Path, number: int, track: Track) -> dict[str, Any]:
    """Write the audio of a track; its waveform and annotated beats."""
    content, waveform = ogg(track.audio_path)
    name = f"media/track-{number}.ogg"
    write_atomically(out / name, content)
    beats = track.get(Beats) if track.has(Beats) else Beats(np.zeros(0))
    return {
        "name": track.id,
        "audio": name,
        "duration": track.duration,
        "peaks": packed(peaks(waveform, round(track.duration * PEAKS))),
        "beats": beats.times,
        "downbeats": [] if beats.downbeats is None else beats.downbeats,
        "lanes": [],
        "nearest": [],
    }


def peaks(waveform: Floats, count: int) -> Any:
    """Lowest and highest samples (count, 2) of equal parts of a waveform, in bytes."""
    edges = np.linspace(0, len(waveform), max(1, count) + 1).astype(int)[:-1]
    loudest = max(float(np.abs(waveform).max(initial=0)), 1e-6)
    low, high = (part.reduceat(waveform, edges) for part in (np.minimum, np.maximum))
    return np.round(np.stack([low, high], axis=1) / loudest * 127).astype(np.int8)


class _Probes:
    """The kept probes of the entries of a column that shall be heard."""

    def __init__(
        self, column: Column, evaluation: Evaluation, named: Sequence[str] | None, media: Media
    ) -> None:
        self.column, self.evaluation, self.media = column, evaluation, media
        self.fold = evaluation.folds[0]
        self.head = next(head for head in column.task.heads if head != "knn")
        cells = {
            cell.record.name: cell
            for cell in column.best()
            if cell.row["head"] == self.head and cell.record.mode == "frozen"
        }
        if named is None:
            shipped = [name for name in cells if name in ENCODERS.classes]
            chosen = [*shipped[:_BEST], *shipped[_BEST:][-_WORST:]]
            self.cells = {name: cells[name] for name in chosen}
            if others := [name for name in cells if name not in ENCODERS.classes]:
                media.note(
                    f"{column.task.name}: to hear {', '.join(others)}, name the encoders to be "
                    "heard by --encoder, those that are not shipped as file.py:Class"
                )
        else:
            names = {name: ENCODERS.get(name).card.name for name in named}
            self.cells = {name: cells[card] for name, card in names.items() if card in cells}
            if absent := [card for card in names.values() if card not in cells]:
                media.note(f"{column.task.name}: there are no records of {', '.join(absent)}")

    def __iter__(self) -> Iterator[tuple[Cell, Task, Probing]]:
        """Each cell with its probe of the first seed; those that were not kept are said at last."""
        missing: list[Cell] = []
        for name, cell in self.cells.items():
            probing = Probing(
                self.column.task,
                name,
                self.head,
                "frozen",
                self.fold.train_data,
                self.fold.test_data,
                self.evaluation.folders.cache,
                f"{self.column.task.name} · {cell.record.name}",
            )
            task, protocol = None, cell.record.protocol
            if ENCODERS.get(name).card.revision == cell.record.revision:
                task = probing.recall(protocol.learning_rates, protocol.seeds[0])
            if task is None:
                missing.append(cell)
            else:
                yield cell, task.eval(), probing
        if missing:
            names = ",".join(cell.record.name for cell in missing)
            first = missing[0].record
            again = command(first.model_copy(update={"name": names}), self.head)
            self.media.note(
                f"{self.column.task.name}: the probes of {names.replace(',', ', ')} are not kept "
                f"here, so they cannot be heard; run first: {again}"
            )

    def outputs(self, task: Task, name: str, tracks: Sequence[Track]) -> Iterator[Outputs]:
        """What a probe says of whole tracks, (steps, ...) each."""
        store = store_of(self.evaluation.folders.cache)
        [reader] = embed([name], list(tracks), store, task.segment_seconds)
        reader.frame_rate = task.target_rate or reader.frame_rate
        lengths = [reader.length(track) for track in tracks]
        clips = Clips(tracks, lengths, reader.frame_rate, reader)
        with torch.inference_mode():
            for index in range(len(clips)):
                [one] = unpadded(*task(collate([clips[index]], reader.frame_rate)))
                yield one


def _add_beats(shown: dict[str, dict[str, Any]], tracks: Sequence[Track], probes: _Probes) -> None:
    """Add a lane of predicted beats for each entry."""

    def add(track: Track, name: str, prediction: Any, **more: Any) -> None:
        score = BeatTracking.score(prediction, track)[BeatTracking.primary]
        lane = {"name": name, "beats": prediction.beats, "downbeats": prediction.downbeats}
        shown[track.id]["lanes"].append(lane | {"score": score} | more)

    for cell, task, probing in probes:
        assert isinstance(task, BeatTracking)
        outputs = probes.outputs(task, str(probing.encoder), tracks)
        for track, one in zip(tracks, outputs, strict=True):
            activation = packed(np.round(255 * expit(one.T.astype(np.float64))).astype(np.uint8))
            said = task.decode(one, track.without_annotations())
            add(track, cell.record.name, said, activation=activation, rate=task.step_rate)
    known = {cell.record.name for cell in probes.column.cells if cell.row["head"] == NO_HEAD}
    for baseline in BeatTracking.baselines():
        if baseline.kind == "upper bound" or baseline.name not in known:
            continue
        baseline.fit(probes.fold.tracks["train"])
        for track in tracks:
            said = baseline.predict(track.without_annotations(), 0)
            add(track, baseline.name, said, note=f"({baseline.kind})")


def _add_nearest(
    shown: dict[str, dict[str, Any]], tracks: Sequence[Track], probes: _Probes
) -> None:
    """Add the dances nearest to each clip of music, as each entry has them."""
    every = probes.fold.tracks["test"]
    for cell, task, probing in probes:
        outputs = probes.outputs(task, str(probing.encoder), every)
        embedded = [
            task.decode(one, track.without_annotations(task.visible))
            for track, one in zip(every, outputs, strict=True)
        ]
        places = [(n, clip) for n, one in enumerate(embedded) for clip in range(len(one.motion))]
        motion = np.concatenate([one.motion for one in embedded if len(one.motion)])
        for number, track in enumerate(every[: len(tracks)]):
            for clip, vector in enumerate(embedded[number].music):
                near = motion @ vector
                order = np.argsort(-near, kind="stable")
                own = int(np.flatnonzero(order == places.index((number, clip)))[0]) + 1
                found = [
                    [every[places[one][0]].id, places[one][1] * CLIP, float(near[one])]
                    for one in order[:NEAREST]
                ]
                place = {"start": clip * CLIP, "rank": own, "of": len(order), "found": found}
                shown[track.id]["nearest"].append({"entry": cell.record.name} | place)
    by_id = {track.id: track for track in every}
    for track in tracks:
        moments = {
            (id, start): None
            for row in shown[track.id]["nearest"]
            for id, start in [(track.id, row["start"]), *((o[0], o[1]) for o in row["found"])]
        }
        clips = [
            Shown(f"{id} {start:g}", _clip(by_id[id], start), note=f"from {start:g} s")
            for id, start in moments
        ]
        beats = track.get(Beats) if track.has(Beats) else Beats(np.zeros(0))
        shown[track.id]["moves"] = viewer_data(clips, beats, track.duration)


def _clip(track: Track, start: float) -> Motion:
    """Five seconds of the dance to a track."""
    motion = real_dance(track)
    frames = slice(round(start * motion.fps), round((start + CLIP) * motion.fps))
    contacts = None if motion.contacts is None else motion.contacts[frames]
    return Motion(motion.positions[frames], motion.fps, contacts)


def _add_dances(
    out: Path,
    shown: dict[str, dict[str, Any]],
    tracks: Sequence[Track],
    probes: _Probes,
    media: Media,
) -> None:
    """Write the dances of entries to each track, with the scores that their records have."""
    dances: dict[str, list[Shown]] = {track.id: [] for track in tracks}

    def add(track: Track, name: str, cell: Cell | None, motion: Motion) -> None:
        place = probes.column.record.tracks.index(track.id)
        known = {} if cell is None else cell.first_seed
        scores = {title: known[n][place] for n, title in DANCE_SCORES.items() if n in known}
        dances[track.id].append(Shown(name, motion, scores))

    real = next((c for c in probes.column.cells if c.record.name == RealDance.name), None)
    for track in tracks:
        if track.has(MotionFile):
            add(track, "real dance", real, real_dance(track))
    with bar("dances") as progress:
        made = progress.add_task("dancing", total=len(tracks) * len(probes.cells))
        for cell, task, probing in probes:
            outputs = probes.outputs(task, str(probing.encoder), tracks)
            for track, one in zip(tracks, outputs, strict=True):
                dance = task.decode(one, track.without_annotations())
                add(track, cell.record.name, cell, dance)
                progress.advance(made)
    for track in tracks:
        data = shown[track.id]
        beats = track.get(Beats) if track.has(Beats) else Beats(np.zeros(0))
        name = f"dance-{len(media.dances)}"
        music = {"audio": data["audio"], "name": track.id}
        write_data(out, name, viewer_data(dances[track.id], beats, track.duration) | music)
        place = {"dataset": probes.column.record.dataset, "track": track.id}
        media.dances.append(place | {"file": name})
