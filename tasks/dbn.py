"""Dynamic Bayesian network for joint beat and downbeat tracking, decoded by Viterbi.

The network of Böck, Krebs and Widmer, "Joint beat and downbeat tracking with recurrent neural
networks", 2016, on the state space of Krebs, Böck and Widmer, "An efficient state space model for
joint tempo and meter tracking", 2015, as ``madmom.features.downbeats`` implements it: same state
order and same order of floating-point operations, hence identical paths. It is faster because a
state within a beat has one predecessor, so back pointers are needed at the starts of beats only.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from motionbeat.compiled import compiled
from motionbeat.tasks.metrics.per_track import Floats

BEATS_PER_BAR = (3, 4)
MIN_BPM, MAX_BPM = 55.0, 215.0
MAX_TEMPI = 60
TRANSITION_LAMBDA = 100.0
OBSERVATION_LAMBDA = 16
THRESHOLD = 0.05


class Bar(NamedTuple):
    """State space of a bar: every beat has one run of states for each tempo."""

    intervals: NDArray[np.int64]  # (tempi,) beat periods in frames, increasing
    first: NDArray[np.int64]  # (tempi,) first state of each tempo within a beat
    on_beat: NDArray[np.bool_]  # (beats, states) true for the states that observe a beat
    transitions: Floats  # (tempi, tempi) log probability of a change from row to column


@cache
def bar_states(frame_rate: float, beats: int) -> Bar:
    """The state space of bars of ``beats`` beats at a frame rate in Hz."""
    shortest, longest = 60 * frame_rate / MAX_BPM, 60 * frame_rate / MIN_BPM
    intervals = np.arange(np.round(shortest), np.round(longest) + 1)
    if len(intervals) > MAX_TEMPI:
        points, intervals = MAX_TEMPI, intervals[:0]
        while len(intervals) < MAX_TEMPI:
            spaced = np.logspace(np.log2(shortest), np.log2(longest), points, base=2)
            intervals, points = np.unique(np.round(spaced)), points + 1
    sizes = intervals.astype(np.int64)
    place = np.concatenate([np.linspace(0, 1, size, endpoint=False) for size in sizes])
    on_beat = (place + np.arange(beats)[:, None]) % 1 < 1 / OBSERVATION_LAMBDA
    change = np.exp(-TRANSITION_LAMBDA * np.abs(intervals / intervals[:, None] - 1))
    change[change <= np.spacing(1)] = 0
    change /= change.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        return Bar(sizes, np.cumsum(sizes) - sizes, on_beat, np.log(change))


@compiled
def _viterbi(
    densities: Floats,
    intervals: NDArray[np.int64],
    first: NDArray[np.int64],
    on_beat: NDArray[np.bool_],
    transitions: Floats,
) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    """Beat and state within the beat of the best path, (frames,) each, and its log probability.

    ``densities`` are (frames, 3) log densities of no beat, beat and downbeat.
    """
    frames, (beats, states), tempi = len(densities), on_beat.shape, len(intervals)
    last = first + intervals - 1
    previous = np.full((beats, states), np.log(1 / (beats * states)))
    current = np.empty_like(previous)
    origins = np.empty((frames, beats, tempi), np.int16)  # tempo that each beat start came from
    best, origin = np.empty(tempi), np.empty(tempi, np.int64)
    for frame in range(frames):
        for beat in range(beats):
            off, on = densities[frame, 0], densities[frame, 1 if beat else 2]
            before, now, observes = previous[beat], current[beat], on_beat[beat]
            for state in range(1, states):
                now[state] = before[state - 1] + (on if observes[state] else off)
            best[:] = -np.inf
            for tempo in range(tempi):
                score = previous[beat - 1, last[tempo]]
                for to in range(tempi):
                    option = score + transitions[tempo, to] + on
                    better = option > best[to]
                    best[to] = option if better else best[to]
                    origin[to] = tempo if better else origin[to]
            for to in range(tempi):
                now[first[to]] = best[to]
                origins[frame, beat, to] = origin[to]
        previous, current = current, previous
    path_beats, path_states = np.empty(frames, np.int64), np.empty(frames, np.int64)
    end = previous.argmax()
    probability = previous.flat[end]
    beat, state = divmod(end, states)
    tempo = np.searchsorted(first, state, side="right") - 1
    for frame in range(frames - 1, -1, -1):
        path_beats[frame], path_states[frame] = beat, state
        if state > first[tempo]:
            state -= 1
        else:
            tempo = origins[frame, beat, tempo]
            beat, state = (beat - 1) % beats, last[tempo]
    return path_beats, path_states, probability


def track_bars(activations: Floats, frame_rate: float) -> tuple[Floats, NDArray[np.int64]]:
    """Beat times in seconds and their numbers in the bar, 1 on downbeats, (beats,) each.

    Args:
        activations: (frames, 2) probabilities of a beat that is no downbeat, and of a downbeat;
            above 0, and their sum below 1.
        frame_rate: in Hz.
    """
    nothing = np.zeros(0), np.zeros(0, np.int64)
    active = np.flatnonzero((activations >= THRESHOLD).any(axis=1))
    if not active.any():
        return nothing
    start = active[0]
    activations = activations[start : active[-1] + 1]
    densities = np.log(
        np.column_stack([(1 - activations.sum(axis=1)) / (OBSERVATION_LAMBDA - 1), activations])
    )
    paths = []
    for count in BEATS_PER_BAR:
        bar = bar_states(frame_rate, count)
        beat, state, probability = _viterbi(densities, *bar)
        paths.append((probability, beat, bar.on_beat[beat, state]))
    _, beat, on_beat = max(paths, key=lambda path: path[0])
    if not on_beat.any():
        return nothing
    # A beat lies at the highest activation while its states are observed.
    edges = np.flatnonzero(np.diff(on_beat, prepend=False, append=False)).reshape(-1, 2)
    height = activations.max(axis=1)
    frames = np.array([left + height[left:right].argmax() for left, right in edges])
    return (frames + start) / frame_rate, beat[frames] + 1
