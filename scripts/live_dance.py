"""What dancing live costs: beats and dances made while the music plays, beside those made after it.

    python scripts/live_dance.py

dances to the validation pieces of a dataset. It writes ``live_beats.csv`` and ``live_dance.csv``.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jsonargparse import auto_cli

from motionbeat.audio import load_audio, resample
from motionbeat.benchmarks.choreographer import choreographer, shipped_dancer
from motionbeat.benchmarks.cli import CACHE, DATA, Options, share
from motionbeat.benchmarks.evaluator import Folders
from motionbeat.benchmarks.live_stage import Performance, parts_of
from motionbeat.console import bar, say
from motionbeat.data_modules.base import Beats, Track
from motionbeat.files import write_atomically
from motionbeat.live_rhythm import LiveGrid, live_grid
from motionbeat.motion import Motion
from motionbeat.pretraining.pairs import audio_inputs
from motionbeat.rhythm import BeatGrid
from motionbeat.spectrum import AUDIO_FRAME_RATE, SAMPLE_RATE
from motionbeat.tasks.dance_generation import DanceGeneration, RealDance
from motionbeat.tasks.metrics.beat import beat_scores

SCORES = ("bas_fact", "bas_fact_chance", "bas_fact_sensitivity", "hit_rate_sensitivity", "p",
          "fid_k", "pfc", "foot_sliding", "penetration", "jerk")  # fmt: skip


def beats(tracks: Iterable[Track]) -> pd.DataFrame:
    """Scores of the beats of both trackers, averaged over tracks with annotated beats."""
    rows = []
    for track in tracks:
        log_mel, _, whole = audio_inputs(resample(*load_audio(track.audio_path), SAMPLE_RATE))
        grids: dict[str, BeatGrid | LiveGrid] = {
            "whole": whole, "live": live_grid(log_mel, AUDIO_FRAME_RATE),
        }  # fmt: skip
        true = track.get(Beats)
        for tracker, grid in grids.items():
            begun = grid.times[:-1]
            inside = (begun >= 0) & (begun < track.duration)
            scores = beat_scores(true.times, begun[inside])
            row = {"tracker": tracker, "beat_f": scores["f_measure"], "amlt": scores["amlt"]}
            if true.downbeats is not None:
                downbeats = begun[inside & (grid.positions == 0)]
                row["downbeat_f"] = beat_scores(true.downbeats, downbeats)["f_measure"]
            rows.append(row)
    return pd.DataFrame(rows).groupby("tracker").mean()


def live(task: DanceGeneration, track: Track) -> Motion:
    """The dance to a track that is made while it plays."""
    pieces = list(Performance(task).dance(parts_of(track.audio_path)))
    positions, contacts = (
        np.concatenate([getattr(piece, part) for piece in pieces])
        for part in ("positions", "contacts")
    )
    return Motion(positions, pieces[-1].fps, contacts)


def live_dance(
    encoder: str = "motionbeat-live",
    other: str = "motionbeat-small",
    dataset: str = "groovebox",
    dataset_options: Options | None = None,
    tracks: int | None = None,
    results: Path = Path("results"),
    cache: Path = CACHE,
    data: Path | None = DATA,
) -> None:
    """Score live beats and dances.

    Args:
        encoder: what live dances hear the music by.
        other: an encoder that hears the whole of it.
        dataset: its validation split is danced to.
        dataset_options: arguments of the dataset.
        tracks: how many; all when left out.
        results: folder for both files.
        cache: folder for generated data, features and trained dancers (MOTIONBEAT_CACHE).
        data: folder with datasets and weights put in place by hand (MOTIONBEAT_DATA).
    """
    share(data)
    folders = Folders(cache, data=data)
    module = folders.datamodule(dataset, dataset_options)
    module.prepare_data()
    chosen = module.tracks("validation")[:tracks]
    shipped = dataset == "groovebox" and dataset_options is None
    tasks = {
        name: (shipped_dancer(name) if shipped else None)
        or choreographer(name, dataset, dataset_options, folders)
        for name in (encoder, other)
    }
    ways = {
        f"{encoder}, live": lambda track: live(tasks[encoder], track),
        f"{encoder}, afterwards": lambda track: tasks[encoder].predict(track.audio_path),
        f"{other}, afterwards": lambda track: tasks[other].predict(track.audio_path),
        "real dances": lambda track: RealDance().predict(track, 0),
    }
    rows = {}
    torch.set_num_threads(1)
    with bar("dances") as progress:
        for way, dance in ways.items():
            dances = [dance(track) for track in progress.track(chosen, description=way)]
            rows[way] = DanceGeneration.metrics_of(DanceGeneration.score_all(dances, chosen))
    table = pd.DataFrame(rows).T[list(SCORES)].rename_axis("dances").round(4)
    for name, one in {"live_beats": beats(chosen).round(4), "live_dance": table}.items():
        say(one.to_string())
        write_atomically(results / f"{name}.csv", one.to_csv().encode())


if __name__ == "__main__":
    auto_cli(live_dance, as_positional=False)
