"""Dances to a known piece of music: steps by style and bar, hits on accents, habits by dancer.

The steps are planned first, as landings of one foot or the other. Feet then stay where they landed
until they lift off again, so contacts are exact by construction; the body follows the feet.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from motionbeat.data_modules.rendered.synthesis import skeleton
from motionbeat.data_modules.rendered.synthesis.choreography import (
    NEAR,
    SPLAY,
    STANDING,
    Landing,
    Music,
    Plan,
    choreograph,
)
from motionbeat.data_modules.rendered.synthesis.skeleton import Floats
from motionbeat.data_modules.rendered.synthesis.steps import ARMS, DANCERS, KINDS, Dancer, Kind
from motionbeat.data_modules.rendered.synthesis.styles import count_beats
from motionbeat.motion import JOINTS, Motion

__all__ = ["DANCERS", "Dancer", "dance"]

_STANCE = 0.08  # s; shortest stay of a foot on the floor
_BRIEFEST = 0.13  # s; a step that would have to be faster is left out
_FASTEST = 2.2  # m/s, mean speed of a foot in the air; its peak is 1.9 times as high
_WIDEST = 0.33  # distance between the feet, as a fraction of height


def dance(
    *,
    beats: Floats,
    positions: NDArray[np.int64],
    accents: Floats,
    style: str,
    metre: str,
    duration: float,
    dancer: int,
    seed: int,
    fps: float = 60.0,
    steps: Floats | None = None,
) -> Motion:
    """Dance to a piece of music; another seed gives another performance of the same dancer.

    Args:
        beats: (n,) increasing beat times in seconds.
        positions: (n,) position of each beat in its bar, 1 on the downbeat; one at least.
        accents: (m, 2) onset times in seconds and strengths in [0, 1].
        style: name in ``STYLES``; to any other style people dance by the metre.
        metre: time signature.
        duration: of the piece in seconds.
        dancer: index into ``DANCERS``.
        seed: 0 or more.
        fps: frames a second.
        steps: (k,) increasing times in seconds to step at, left and right in turn, in place of the
            times of the style's patterns; those outside the beats are left out.

    Returns:
        round(duration * fps) frames with the contacts of the feet.
    """
    music = Music(beats, positions, accents, count_beats(metre)[1], steps)
    rng = np.random.default_rng([seed, dancer, zlib.crc32(style.encode())])
    person = DANCERS[dancer]
    time = np.arange(round(duration * fps)) / fps
    plan = choreograph(music, style, person, duration, rng)
    swings = _walk_through(plan.landings, person.height)
    feet = [_move_foot(swings[foot], time, person.height) for foot in (0, 1)]
    hits = _hits(music, person, time, fps, rng)
    joints = _move_body(feet, _weight_on_left(swings, time), plan, hits, person, time, fps, rng)
    contacts = np.stack([part for foot in feet for part in (foot.flat, foot.planted)], axis=1)
    return Motion(joints.astype(np.float32), fps, contacts)


@dataclass(frozen=True)
class _Swing:
    """A foot in the air between two places."""

    peel: float  # s, when the heel leaves the floor
    start: float  # s, when the toes do
    land: float
    settle: float  # s, when the heel is down again
    before: Floats
    toe: Floats
    yaw_before: float
    yaw: float
    size: float
    kind: Kind


def _walk_through(landings: Sequence[Landing], height: float) -> tuple[list[_Swing], list[_Swing]]:
    """Turn landings into swings of the left and the right foot that a body can do."""
    swings: tuple[list[_Swing], list[_Swing]] = ([], [])
    for foot in (0, 1):
        toe, yaw = STANDING[foot] * height, float(SPLAY[foot])
        swings[foot].append(_Swing(-4.0, -3.0, -2.0, -2.0, toe, toe, yaw, yaw, 0.0, KINDS[""]))
    for landing in landings:
        own, other = swings[landing.foot][-1], swings[1 - landing.foot][-1]
        earliest = own.settle + _STANCE
        if not landing.kind.free:
            earliest = max(earliest, other.land)
        start = max(landing.time - landing.air, landing.time - 0.8, earliest)
        if landing.time - start < _BRIEFEST:
            continue
        apart = _at_most(landing.toe - other.toe, _WIDEST * height)
        path = _at_most(other.toe + apart - own.toe, _FASTEST * (landing.time - start))
        swings[landing.foot].append(
            _Swing(
                start - min(0.12, (start - own.settle) / 2),
                start,
                landing.time,
                landing.time + (0.07 if landing.kind.free else 0.0),
                own.toe,
                own.toe + path,
                own.yaw,
                landing.yaw,
                landing.size,
                landing.kind,
            )
        )
    return swings


def _at_most(vector: Floats, length: float) -> Floats:
    """Shorten a vector to a length."""
    return vector * min(1.0, length / max(float(np.linalg.norm(vector)), 1e-9))


@dataclass(frozen=True)
class _Foot:
    """The path of one foot over the frames."""

    toe: Floats  # (T, 3) m
    ankle: Floats  # (T, 3) m
    yaw: Floats  # (T,) radians
    rise: Floats  # (T,) m, how far its hops lift the body
    planted: NDArray[np.bool_]  # (T,) toes on the floor, not moving
    flat: NDArray[np.bool_]  # (T,) heel too


def _move_foot(swings: Sequence[_Swing], time: Floats, height: float) -> _Foot:
    index = np.searchsorted([swing.peel for swing in swings], time, side="right") - 1

    def each(name: str) -> Floats:
        return np.asarray(list(map(attrgetter(name), swings)))[index]

    start, land, peel, settle = map(each, ("start", "land", "peel", "settle"))
    size = each("size")
    through = np.clip((time - start) / (land - start), 0, 1)
    way = through**3 * (10 - 15 * through + 6 * through**2)
    arch = 16 * through**2 * (1 - through) ** 2
    before, yaw_before = each("before"), each("yaw_before")
    yaw = yaw_before + way * (each("yaw") - yaw_before)
    forward = np.stack([np.sin(yaw), np.cos(yaw)], axis=1)
    lift = arch * size * each("kind.lift")
    flat_toe = before + way[:, None] * (each("toe") - before)
    flat_toe += (arch * size * each("kind.kick"))[:, None] * forward
    toe = np.stack([flat_toe[:, 0], skeleton.TOE_HEIGHT * height + lift, flat_toe[:, 1]], axis=1)
    highest = start + 0.35 * (land - start)
    heel = _ease((time - peel) / np.maximum(highest - peel, 1e-9))
    heel *= 1 - _ease((time - highest) / (settle - highest))
    tilt = Rotation.from_euler(
        "YX", np.stack([yaw, heel * np.radians(32) * np.minimum(size, 1.2)], axis=1)
    )
    ankle = toe - tilt.apply(skeleton.OFFSETS[JOINTS.index("l_foot")] * height)
    planted = (time <= start) | (time >= land)
    return _Foot(
        toe,
        ankle,
        yaw,
        lift * each("kind.rise"),
        planted,
        planted & ((time <= peel) | (time >= settle)),
    )


def _ease(share: Floats) -> Floats:
    """A smooth way from 0 to 1."""
    clipped: Floats = np.clip(share, 0, 1)
    return clipped**2 * (3 - 2 * clipped)


def _hits(
    music: Music, person: Dancer, time: Floats, fps: float, rng: np.random.Generator
) -> Floats:
    """(T,) how much trunk and arms answer the accents: a pulse for each one chosen."""
    hits = np.zeros(len(time))
    onsets, strengths = music.accents.T
    weights = strengths * (1 + person.backbeat * _backbeat(music) / 2)
    jitter = rng.normal(0, person.jitter, len(onsets))
    taken: list[float] = []
    for index in np.argsort(-weights, kind="stable"):
        moment = onsets[index]
        if weights[index] < 0.25 or any(abs(moment - other) < 0.3 for other in taken):
            continue
        taken.append(moment)
        peak = moment + person.lag + jitter[index]
        window = slice(max(int((peak - 0.2) * fps), 0), max(int((peak + 0.4) * fps), 0))
        away = time[window] - peak
        hits[window] += weights[index] ** 1.5 * np.where(
            away < 0, _ease(1 + away / 0.15), _ease(1 - away / 0.3)
        )
    return hits


def _backbeat(music: Music) -> Floats:
    """(m,) 1 for accents on a backbeat, -1 on the downbeat or the half bar, 0 off the beat."""
    onsets = music.accents[:, :1]
    nearest = np.argmin(np.abs(onsets - music.beats), axis=1)
    positions = music.positions[nearest]
    strong = (positions == 1) | ((music.beats_a_bar == 4) & (positions == 3))
    close = np.abs(onsets[:, 0] - music.beats[nearest]) < NEAR
    return np.where(close, np.where(strong, -1.0, 1.0), 0.0)


def _move_body(
    feet: Sequence[_Foot],
    weight: Floats,
    plan: Plan,
    hits: Floats,
    person: Dancer,
    time: Floats,
    fps: float,
    rng: np.random.Generator,
) -> Floats:
    """(T, 24, 3) the whole body over its feet."""

    def smooth(values: Floats, seconds: float) -> Floats:
        return gaussian_filter1d(values, seconds * fps, axis=0, mode="nearest")

    moves, height = plan.moves, person.height
    dancing = (time >= plan.start - 0.3) & (time < plan.end + plan.clock.period)
    active = smooth(dancing.astype(np.float64), 0.3)
    hits = hits * active * moves.hit * person.size
    phase = 2 * np.pi * (plan.clock.beat(time) - plan.downbeat) / plan.unit
    sway = _drift(time, 6, rng)
    on_left = smooth(weight, 0.08)
    yaw = smooth(feet[1].yaw + on_left * (feet[0].yaw - feet[1].yaw), 0.15)

    pulse = active * (1 + np.cos(phase / moves.period)) / 2
    sink = moves.bounce * person.bounce * (pulse if not moves.upbeat else active - pulse)
    swivel = moves.hips * person.size * active * (2 * on_left - 1)
    pelvis = _rotation(
        pitch=0.3 * moves.lean * active + 1.0 * sway[:, 1],
        yaw=np.degrees(yaw) - 0.8 * swivel + 1.5 * sway[:, 2],
        roll=swivel + 0.8 * sway[:, 0],
    )
    turns = {"pelvis": pelvis}
    for level, name in enumerate(("spine1", "spine2", "spine3")):
        roll = np.cos(phase / moves.period / 2 - 0.9 * level)
        turns[name] = _rotation(
            pitch=0.25 * moves.lean * active + moves.wave * person.size * active * roll + 6 * hits,
            yaw=0.5 * swivel,
            roll=-0.35 * swivel + 0.5 * sway[:, 3],
        )
    nod = moves.nod * person.size * pulse / 2 - 5 * hits - 0.4 * moves.lean * active
    for name in ("neck", "head"):
        turns[name] = _rotation(pitch=nod, yaw=5 * sway[:, 4], roll=2 * sway[:, 5])
    turns |= _arms(plan, phase, hits, active, person, time, smooth)

    left, right = ((foot.toe + foot.ankle)[:, ::2] / 2 for foot in feet)
    apart = np.linalg.norm(left - right, axis=1) / height
    shift = (on_left - 0.5) * (1 - 0.8 * _ease((apart - 0.15) / 0.2))  # a lunge stays in the middle
    ground = smooth((left + right) / 2 + shift[:, None] * (left - right), 0.1)
    root = np.stack([ground[:, 0], np.zeros(len(time)), ground[:, 1]], axis=1)
    root[:, ::2] += 0.008 * sway[:, :2]
    joints = skeleton.trunk_and_arms(height, root, turns)
    standing = 0.545 * height + feet[0].rise + feet[1].rise
    limits = [standing - sink - (moves.crouch + 0.006 * sway[:, 5]) * active - 0.035 * hits]
    for foot, letter in zip(feet, "lr", strict=True):
        hip = joints[:, JOINTS.index(f"{letter}_hip")]
        away = np.sum((foot.ankle - hip)[:, ::2] ** 2, axis=1)
        reach = 0.985 * (skeleton.THIGH + skeleton.SHANK) * height
        limits.append(foot.ankle[:, 1] - hip[:, 1] + np.sqrt(np.maximum(reach**2 - away, 0.01)))
    # A smooth minimum, never above the lowest limit, so that both feet stay within reach.
    joints[:, :, 1] += -0.012 * np.logaddexp.reduce(-np.stack(limits) / 0.012)[:, None]
    for foot, letter in zip(feet, "lr", strict=True):
        forward = np.stack([np.sin(foot.yaw), np.zeros(len(time)), np.cos(foot.yaw)], axis=1)
        hips = joints[:, JOINTS.index(f"{letter}_hip")]
        knees = skeleton.bend_knee(hips, foot.ankle, forward, height)
        for name, place in (("knee", knees), ("ankle", foot.ankle), ("foot", foot.toe)):
            joints[:, JOINTS.index(f"{letter}_{name}")] = place
    return joints


def _weight_on_left(swings: Sequence[Sequence[_Swing]], time: Floats) -> Floats:
    """(T,) share of the weight on the left foot, changing as feet lift and land."""
    changes = [(-np.inf, 0.5)]
    for foot, (lifted, sign) in enumerate(((0.15, 1), (0.85, -1))):
        for swing in swings[foot][1:]:
            changes.append((swing.start, lifted))
            changes.append((swing.land, 0.5 + sign * (swing.kind.weight - 0.5)))
    changes.sort()
    moments, shares = np.array(changes).T
    on_left: Floats = shares[np.searchsorted(moments, time, side="right") - 1]
    return on_left


def _drift(time: Floats, channels: int, rng: np.random.Generator) -> Floats:
    """(T, channels) slow wandering of about unit size; nobody stands still."""
    speed = 2 * np.pi * rng.uniform(0.1, 0.4, (3, 1, channels))
    start = rng.uniform(0, 2 * np.pi, (3, 1, channels))
    drift: Floats = np.sin(speed * time[:, None] + start).sum(axis=0) / 1.5
    return drift


def _rotation(pitch: Floats, yaw: Floats, roll: Floats) -> Floats:
    """(T, 3, 3) turns in degrees: forward, to the left, and left side up."""
    angles = np.stack([yaw, pitch, roll], axis=1)
    return Rotation.from_euler("YXZ", angles, degrees=True).as_matrix()


def _arms(
    plan: Plan,
    phase: Floats,
    hits: Floats,
    active: Floats,
    person: Dancer,
    time: Floats,
    smooth: Callable[[Floats, float], Floats],
) -> dict[str, Floats]:
    """Rotations of shoulders, elbows and collars."""
    starts, arms = zip(*plan.motifs, strict=True)
    index = np.maximum(np.searchsorted(starts, time, side="right") - 1, 0)

    def each(name: str) -> Floats:
        return np.array(list(map(attrgetter(name), arms)))[index]

    beats = each("period")
    seconds = beats * plan.unit * plan.clock.period
    calm = np.minimum(1, seconds)[:, None]  # fast music leaves no time for wide gestures
    lead = -1 if person.mirrored else 1  # the arm goes forward with the other side's foot
    zero = np.zeros(len(time))
    hanging = np.array(ARMS["hang"].pose)
    turns = {}
    for letter, sign, flip in (("l", 1, -lead), ("r", -1, lead)):
        way = (np.cos(phase / beats) * np.where(each("opposed"), flip, 1))[:, None]
        angles = each("pose") + person.arms * calm * each("swing") * way
        angles = hanging + active[:, None] * (smooth(angles, 0.15) - hanging)
        leading = 1.0 if (letter == "l") == person.mirrored else 0.5
        reaction = smooth(each("hit") * 1.0, 0.15)
        angles += np.tanh(leading * person.arms * hits)[:, None] * reaction
        flexion, abduction, twist, elbow = angles.T
        turns[f"{letter}_shoulder"] = Rotation.from_euler(
            "XZY", np.stack([-flexion, sign * abduction, -sign * twist], axis=1), degrees=True
        ).as_matrix()
        turns[f"{letter}_elbow"] = _rotation(pitch=-np.clip(elbow, 3, 145), yaw=zero, roll=zero)
        turns[f"{letter}_collar"] = _rotation(pitch=zero, yaw=zero, roll=sign * 6 * hits)
    return turns
