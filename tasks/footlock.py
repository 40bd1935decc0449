"""Feet that stand: sampled dances whose feet slide or sink in are mended.

Kovar, Schreiner and Gleicher, "Footskate cleanup for motion capture editing", 2002: while a foot is
on the floor it is held in one place, and between two contacts it is moved smoothly from one place
to the next; the root follows the feet, and is lowered where a leg would be too short; then legs are
solved between hips and ankles, with bones of the same lengths.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline
from scipy.ndimage import (
    binary_closing,
    distance_transform_edt,
    gaussian_filter1d,
    label,
    maximum_filter1d,
)

from motionbeat.motion import FEET, JOINTS, Motion
from motionbeat.tasks.metrics.per_track import Floats

Bools = NDArray[np.bool_]

_SURE, _LIKELY = 0.6, 0.5  # strengths of a contact: somewhere in it, and throughout
_BRIEFEST = 0.1  # s; no foot makes a step in less
_SURE_AIR, _LIKELY_AIR = 0.04, 0.01  # m above the floor in a jump: somewhere in it, and throughout
_GRAVITY = 9.81  # m/s²
_BLEND = 0.25  # s, within which a foot comes to rest
_CLEARANCE, _HIGHEST = 0.05, 0.05  # s, m: a foot is as high as it goes in so long, up to this
_FOLLOW = 0.15  # s; the root follows the feet this smoothly
_LOWER = 0.1  # s; the root is lowered this long before and after it must be
_STRETCH = 0.99  # of the length of a leg that is used
_FORWARD = 0.01  # m by which all knees point forward, which decides for straight legs

_LEGS = [[JOINTS.index(f"{side}_{joint}") for joint in ("hip", "knee", "ankle", "foot")]
         for side in "lr"]  # fmt: skip
_TOES = [toe for *_, toe in _LEGS]
_BODY = [joint for joint in range(len(JOINTS)) if joint not in FEET]


def plant_feet(motion: Motion, strengths: NDArray[np.floating]) -> Motion:
    """The same dance with feet that stand where they touch the floor, which is at y = 0.

    Args:
        motion: positions and frame rate; its own contacts are ignored.
        strengths: (T, 4) of the contacts of the joints in ``FEET``, about 0 to 1.

    Returns:
        A motion with the contacts that were found. In them toes are on the floor and do not move,
        as far as the legs reach, and no foot is below it anywhere.
    """
    if len(motion.positions) < 2:
        return motion
    return follow_steps(motion, plan_steps(motion, strengths))


class Steps(NamedTuple):
    """Where feet go.

    Attributes:
        contacts: (T, 4) of the joints in ``FEET`` with the floor.
        toes: (T, 2, 3) places of the left and of the right toe, in metres.
        feet: (T, 2, 3) ways from them to the ankles.
    """

    contacts: Bools
    toes: Floats
    feet: Floats

    def part(self, first: int, last: int) -> "Steps":
        """Some of the frames."""
        frames = slice(first, last)
        return Steps(self.contacts[frames], self.toes[frames], self.feet[frames])


def plan_steps(
    motion: Motion, strengths: NDArray[np.floating], begun: Steps | None = None
) -> Steps:
    """Where the feet of a dance stand, and how they go from there to there.

    Args:
        motion: two frames or more.
        strengths: (T, 4) of the contacts of the joints in ``FEET``.
        begun: the first frames, as they were planned before there were others; they stay.
    """
    old, fps = motion.positions.astype(np.float64), motion.fps
    contacts = find_contacts(motion, strengths)
    known = 0 if begun is None else len(begun.contacts)
    toes, feet = np.empty((2, len(old), 2, 3))
    if begun is not None:
        contacts[:known], toes[:known], feet[:known] = begun
    for side, (_, _, ankle, toe) in enumerate(_LEGS):
        flat, down = contacts[:, 2 * side], contacts[:, 2 * side + 1]
        foot = old[:, ankle] - old[:, toe]
        held = _held(foot, flat, fps, feet[:known, side])
        feet[:, side] = _unit(held) * _length(foot)
        toes[:, side] = _held(old[:, toe], down, fps, toes[:known, side], floor=0.0)
    return Steps(contacts, toes, feet)


def follow_steps(motion: Motion, steps: Steps, ahead: float | None = None) -> Motion:
    """A dance whose root and legs follow its feet, which are not below the floor.

    ``ahead`` limits to so many seconds how far the root is smoothed.
    """
    old, fps = motion.positions.astype(np.float64), motion.fps
    new, moved = old.copy(), np.zeros((len(old), 3))
    for side, (_, _, ankle, toe) in enumerate(_LEGS):
        down, foot, path = steps.contacts[:, 2 * side + 1], steps.feet[:, side], steps.toes[:, side]
        moved += (path - old[:, toe]) / len(_LEGS)
        path = path - [0, 1, 0] * np.minimum(path[:, 1:2] + np.minimum(foot[:, 1:2], 0), 0)
        path[:, 1] = np.where(down, path[:, 1], np.hypot(path[:, 1], _clearance(path, fps)))
        new[:, toe], new[:, ankle] = path, path + foot
    radius = None if ahead is None else round(ahead * fps)
    shift = gaussian_filter1d(moved, _FOLLOW * fps, axis=0, mode="nearest", radius=radius)
    new[:, _BODY] = old[:, _BODY] + shift[:, None]
    new[:, _BODY, 1] -= _too_high(new, old, steps.contacts[:, 1::2], fps)[:, None]
    for leg in _LEGS:
        _solve(new, old, leg)
    return Motion(new.astype(np.float32), fps, steps.contacts)


def find_contacts(motion: Motion, strengths: NDArray[np.floating]) -> Bools:
    """Contacts (T, 4) of the joints in ``FEET`` with the floor, by strengths (T, 4) of them.

    A foot is on the floor where its heel or toe is. One foot is always, but in a jump: both are
    above the floor and the pelvis falls, on average with half of gravity at least, as samples are
    smooth. Where one foot takes over from the other, both are on the floor for a moment.
    """
    likely = np.stack([_hysteresis(one, _LIKELY, _SURE) for one in strengths.T], axis=1)
    down = likely[:, ::2] | likely[:, 1::2]
    lower = motion.positions[:, _TOES, 1].min(axis=1)
    air = _hysteresis(np.where(down.any(axis=1), 0, lower), _LIKELY_AIR, _SURE_AIR)
    runs, _ = label(air)
    rising = np.gradient(np.gradient(motion.positions[:, 0, 1].astype(np.float64))) * motion.fps**2
    air &= (np.bincount(runs, rising) <= -_GRAVITY / 2 * np.bincount(runs))[runs]
    brief = int(_BRIEFEST * motion.fps) + 1
    around = np.pad(down, [(brief, brief), (0, 0)])  # binary_closing opens contacts at the ends
    down |= binary_closing(around, np.ones((brief, 1), bool))[brief:-brief]
    down &= ~air[:, None]
    lost = ~down.any(axis=1) & ~air
    down[lost, strengths[lost, 1::2].argmax(axis=1)] = True
    before, after = down[:-1].copy(), down[1:].copy()
    passed = before.any(axis=1) & after.any(axis=1) & ~(before & after).any(axis=1)
    down[1:][passed] |= before[passed]
    down[:-1][passed] |= after[passed]
    contacts = np.repeat(down, 2, axis=1)
    contacts[:, ::2] &= likely[:, ::2]
    return contacts


def _hysteresis(values: NDArray[np.floating], likely: float, sure: float) -> Bools:
    """Where values (T,) are above ``likely``, in runs that somewhere are above ``sure``."""
    runs, _ = label(values > likely)
    found: Bools = np.isin(runs, runs[values > sure])
    return found


def _held(
    path: Floats, contact: Bools, fps: float, begun: Floats, floor: float | None = None
) -> Floats:
    """A path (T, 3) that rests at the mean place of each contact (T,), and is smooth between them.

    It goes on from frames that were ``begun`` before; a contact that lasts keeps its place. Where a
    ``floor`` is given, it rests at that height.

    What is added to it is a cubic Hermite spline through the contacts, with the negative velocity
    of the path as its slope there; the middle of long ways is interpolated linearly.
    """
    known = len(begun)
    if not known and not contact.any():
        return path
    runs, _ = label(contact)
    count = np.maximum(np.bincount(runs), 1)
    places = np.stack([np.bincount(runs, axis) / count for axis in path.T], axis=1)[runs]
    if floor is not None:
        places[:, 1] = floor
    if known and contact[known - 1]:
        places[runs == runs[known - 1]] = begun[-1]
    places[:known] = begun
    frames = np.arange(len(path))
    fixed = contact | (frames < known)
    rest = (places - path)[fixed].T
    added = np.stack([np.interp(frames, frames[fixed], axis) for axis in rest], axis=1)
    stops = contact[:, None] & [True, floor is None, True]  # feet leave and hit a floor at speed
    slope = np.where(stops, -np.gradient(path, axis=0), np.gradient(added, axis=0))
    if known > 1:
        slope[:known] = np.gradient(added[:known], axis=0)
    knots = fixed | (distance_transform_edt(~contact) > _BLEND * fps)
    knots[[0, -1]] = True
    held: Floats = path + CubicHermiteSpline(frames[knots], added[knots], slope[knots])(frames)
    return held


def _clearance(path: Floats, fps: float) -> Floats:
    """Height in metres (T,) that a toe on a path (T, 3) needs, so that it does not skim."""
    speed = np.linalg.norm(np.gradient(path[:, ::2], axis=0), axis=1) * fps
    needed: Floats = np.minimum(_CLEARANCE * speed, _HIGHEST)
    return needed


def _too_high(new: Floats, old: Floats, down: Bools, fps: float) -> Floats:
    """Metres (T,) by which hips are too high for feet that are down (T, 2), smooth in time."""
    high = np.zeros(len(new))
    for leg, on_floor in zip(_LEGS, down.T, strict=True):
        way = new[:, leg[0]] - new[:, leg[2]]
        square = _longest(old, leg)[:, 0] ** 2 - np.sum(way[:, ::2] ** 2, axis=1)
        excess = way[:, 1] - np.sqrt(np.maximum(square, 0))
        high = np.maximum(high, np.where(on_floor, excess, 0))
    radius = round(_LOWER * fps)
    # An average over the time within which the highest was taken is never less than needed.
    highest = maximum_filter1d(high, 2 * radius + 1, mode="nearest")
    smooth: Floats = gaussian_filter1d(highest, radius / 2 + 1e-6, radius=radius, mode="nearest")
    return smooth


def _longest(old: Floats, leg: list[int]) -> Floats:
    """Metres (T, 1) that hip and ankle may be apart: almost the whole leg, or as far as before."""
    hip, knee, ankle, _ = leg
    whole = _length(old[:, knee] - old[:, hip]) + _length(old[:, ankle] - old[:, knee])
    return np.maximum(_STRETCH * whole, _length(old[:, ankle] - old[:, hip]))


def _solve(new: Floats, old: Floats, leg: list[int]) -> None:
    """Bend a knee between hip and ankle by the law of cosines, to the side it was bent to.

    A foot that is out of reach is drawn to the hip.
    """
    hip, knee, ankle, toe = leg
    thigh, shank = old[:, knee] - old[:, hip], old[:, ankle] - old[:, knee]
    upper, lower = _length(thigh), _length(shank)
    way, old_way = new[:, ankle] - new[:, hip], old[:, ankle] - old[:, hip]
    along = _unit(way)
    longest = _longest(old, leg)
    reach = np.clip(_length(way), np.minimum(np.abs(upper - lower) + 1e-6, longest), longest)
    new[:, [ankle, toe]] += (reach * along - way)[:, None]
    left = _unit(old[:, _LEGS[0][0]] - old[:, _LEGS[1][0]])
    out = _across(thigh, _unit(old_way)) + _FORWARD * np.cross(along, left)
    distance = (reach**2 + upper**2 - lower**2) / np.maximum(2 * reach, 1e-9)
    bend = np.sqrt(np.maximum(upper**2 - distance**2, 0))
    new[:, knee] = new[:, hip] + distance * along + bend * _unit(_across(out, along))


def _length(vectors: Floats) -> Floats:
    """Lengths (T, 1) of vectors (T, 3)."""
    lengths: Floats = np.linalg.norm(vectors, axis=1, keepdims=True)
    return lengths


def _unit(vectors: Floats) -> Floats:
    return vectors / np.maximum(_length(vectors), 1e-9)


def _across(vectors: Floats, along: Floats) -> Floats:
    """The part of vectors (T, 3) that is at right angles to unit vectors."""
    across: Floats = vectors - along * np.sum(vectors * along, axis=1, keepdims=True)
    return across
