"""MotionBeat as music plays: nothing that it gives out at a time depends on sound after it.

Beats come from :mod:`motionbeat.live_rhythm`. A token is made of a beat that is over and attends to
beats before it; a frame reads the state of the last beat that is over, turned by the bar phase of
the clock at its time. Since states do not depend on where the bar begins, tokens are numbered from
anywhere in attention, and a change of mind about the downbeat turns what is read and nothing else.
"""

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from motionbeat.layers import PhaseAttention
from motionbeat.live_rhythm import HEARING_DELAY, LiveGrid, LiveTracker
from motionbeat.model import (
    FRAME_RATE,
    MARGIN,
    PULSE_WIDTH,
    WINDOW,
    AudioTower,
    Contacts,
    MotionBeat,
    MotionBeatEncoder,
    Phase,
    Size,
)
from motionbeat.spectrum import AUDIO_FRAME_RATE, BANDS, FFT_SIZE, HOP, SAMPLE_RATE
from motionbeat.tokens import POSITIONS, Clock

BEAT_DELAY = HEARING_DELAY + 0.5 / AUDIO_FRAME_RATE
"""Seconds after the end of a beat at which the last frame of it is heard."""

SOUND_DELAY = 1.1
"""Seconds by which the sound stream is late: as far as its convolutions look ahead."""

_SOUND_HOP = 16  # frames of the spectrum from one of the sound stream to the next
_SOUND_REACH = 91  # frames after its first that a frame of the sound stream depends on
_SOUND_MARGIN = 6  # frames of the sound stream before, as far as one depends on
_CHUNK = 30 * SAMPLE_RATE  # samples of a recording heard at once
_STEP = WINDOW - 2 * MARGIN  # beats from one window of attention to the next
_CONTEXT = 4  # positions before a beat that its convolutions reach
_EDGE = FFT_SIZE // (2 * HOP) + 1  # frames that see the edge of a piece of audio


class LiveTower(AudioTower):
    """The tower of music with attention to the past.

    It has the parameters of :class:`AudioTower`. The mean spectrum is that of the past, and the
    convolutions of a beat see silence after it. A window of attention answers for its last beats.
    """

    margin = WINDOW - _STEP

    def __init__(self, size: Size, phase: Phase = "rotated") -> None:
        super().__init__(size, phase)
        for module in self.modules():
            if isinstance(module, PhaseAttention):
                module.causal = True

    def forward(self, log_mel: Tensor, lengths: Tensor, clock: Clock) -> Tensor:
        """Encode (B, T, BANDS) at ``AUDIO_FRAME_RATE``, (B,) valid frames, as ``encode`` does."""
        place = torch.arange(log_mel.shape[1], device=lengths.device)
        counts = (place + 1).unsqueeze(-1)
        means = (log_mel.double().cumsum(dim=1) / counts).to(log_mel.dtype)
        frames = (log_mel - means) * (place < lengths[:, None]).unsqueeze(-1)
        last = torch.minimum(_frames_until(clock.times[:, 1:]), lengths[:, None]) - 1
        mean = means.take_along_dim(last.clamp_min(0).unsqueeze(-1), 1)
        return self.encode(
            frames, AUDIO_FRAME_RATE, _counted(clock), context=self.mean_spectrum(mean)
        )

    def convolve(self, x: Tensor, mask: Tensor) -> Tensor:
        """Pass (B, columns, n * POSITIONS) through the stem, each beat without the next one."""

        def beat_by_beat(values: Tensor) -> Tensor:
            padded = functional.pad(values, (_CONTEXT, 0))
            return padded.unfold(2, _CONTEXT + POSITIONS, POSITIONS).transpose(1, 2).flatten(0, 1)

        convolved = super().convolve(beat_by_beat(x), beat_by_beat(mask))[..., _CONTEXT:]
        beats = convolved.reshape(len(x), -1, *convolved.shape[1:])
        return beats.transpose(1, 2).flatten(2)

    def states_at(self, states: Tensor, clock: Clock, seconds: Tensor) -> Tensor:
        """The state (B, n, width) of the last beat that is over at (B, F) seconds; 0 before."""
        over = torch.searchsorted(
            clock.times[:, 1:] + BEAT_DELAY, seconds.to(clock.times.dtype).contiguous(), right=True
        ).unsqueeze(-1)
        last = (over - 1).clamp(0, states.shape[1] - 1)
        return states.take_along_dim(last, 1) * (over > 0)


class LiveMotionBeat(MotionBeat):
    """MotionBeat with a tower of music that hears the past alone; arguments as there.

    The tower of motion is as it was: it is there to train the tower of music.
    """

    def __init__(
        self, size: str = "small", phase: Phase = "rotated", contacts: Contacts = "both"
    ) -> None:
        super().__init__(size, phase, contacts)
        self.audio = LiveTower(self.size, phase)


class LiveEncoder(MotionBeatEncoder):
    """What a live model hears: a frame depends on sound up to its time and on none after it.

    The parts of a frame are those of :class:`MotionBeatEncoder`. The sound stream is that of
    ``SOUND_DELAY`` before; what is not heard yet is 0.
    """

    causal: ClassVar[bool] = True

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples at 22.05 kHz as (B, 1, frames, width) at 50 Hz."""
        return torch.stack([torch.cat([*self.stream(one[None])], dim=1) for one in waveform])

    def stream(self, waveform: Tensor) -> Iterator[Tensor]:
        """Encode a whole recording, half a minute at a time."""
        listener = Listener(self)
        for part in torch.split(waveform[0], _CHUNK):
            yield listener.hear(part).unsqueeze(0)

    def read(self, states: Tensor, clock: Clock, seconds: Tensor) -> Tensor:
        """Features (B, F, ...) of the tower at (B, F) seconds, of the states of its beats."""
        return self._frames(states, clock, seconds, None, seconds)


class Listener:
    """Hears a stream of samples, and says at once what a :class:`LiveEncoder` makes of it.

    Samples may come in parts of any length, which change nothing.

    Attributes:
        tracker: the clock.
    """

    def __init__(self, encoder: LiveEncoder) -> None:
        self.tracker = LiveTracker(AUDIO_FRAME_RATE)
        self._encoder = encoder
        self._width = len(encoder.tower.norm.weight)
        self._device = encoder.tower.norm.weight.device
        self._samples = _Tail(torch.zeros(0, device=self._device))
        self._log_mel, self._frames, self._means = (
            _Tail(torch.zeros(0, BANDS, device=self._device)) for _ in range(3)
        )  # as it is, less the mean of the past, and this mean
        self._sum = torch.zeros(BANDS, dtype=torch.float64, device=self._device)
        sound = 0 if encoder.sound is None else encoder.sound.mix.out_channels
        self._sound = _Tail(torch.zeros(0, sound, device=self._device))
        self._given = 0  # frames
        self._encoded: tuple[int, range, Tensor] | None = None

    @torch.no_grad()
    def hear(self, samples: Tensor) -> Tensor:
        """Frames (F, width) of the time up to the end of the next samples (n,)."""
        self._samples.append(samples.to(self._device))
        self._hear_frames()
        count = int(self._samples.end * FRAME_RATE / SAMPLE_RATE) + 1
        numbers = torch.arange(self._given, count, dtype=torch.float64, device=self._device)
        self._given = count
        seconds = numbers / FRAME_RATE
        return torch.cat([self._read_tower(seconds), self._read_sound(seconds)], dim=1)

    def _hear_frames(self) -> None:
        """Compute the frames of the spectrum that are complete now, and track their beats."""
        done, count = self._log_mel.end, (self._samples.end - FFT_SIZE // 2) // HOP + 1
        if count <= done:
            return
        first = max(0, done - _EDGE)
        waveform = self._samples[first * HOP : self._samples.end]
        log_mel = self._encoder.frontend.spectrum(waveform[None])[0, done - first : count - first]
        self._samples.drop((count - _EDGE) * HOP)
        sums = self._sum + log_mel.double().cumsum(dim=0)
        counts = torch.arange(done + 1, count + 1, device=self._device)
        means = (sums / counts.unsqueeze(-1)).to(log_mel.dtype)
        self._sum = sums[-1]
        self._log_mel.append(log_mel)
        self._frames.append(log_mel - means)
        self._means.append(means)
        self.tracker.hear(log_mel.float().cpu().numpy())

    def _read_tower(self, seconds: Tensor) -> Tensor:
        """What the tower says (F, width) at increasing seconds (F,)."""
        features = seconds.new_zeros(
            len(seconds), self._width + PULSE_WIDTH, dtype=self._frames.values.dtype
        )
        if not len(seconds):
            return features
        grid = self.tracker.beats()
        times, metres = (
            torch.from_numpy(x).to(self._device) for x in (grid.times, grid.beats_per_bar)
        )
        over = torch.searchsorted(times[1:] + BEAT_DELAY, seconds, right=True)
        metre_now = metres[torch.searchsorted(times, seconds, right=True) - 1]
        for metre in sorted(set(metre_now.tolist())):
            rows = metre_now == metre
            first, last = max(int(over[rows][0]) - 1, 0), int(over[rows][-1])
            beats, states = self._encode(grid, metre, first, last)
            clock = _clock(grid, metre, beats.start, len(metres)).to(self._device)
            features[rows] = self._encoder.read(states, clock, seconds[rows][None])[0]
        kept = _frame_at(grid, _first_needed(max(int(over[-1]) - 1, 0)))
        self._frames.drop(kept)
        self._means.drop(kept)
        return features

    def _encode(self, grid: LiveGrid, metre: int, first: int, last: int) -> tuple[range, Tensor]:
        """Beats up to ``last`` and their states in a metre, which are right from ``first`` on."""
        begin = _first_needed(first)
        if self._encoded is not None:
            known, beats, states = self._encoded
            if known == metre and beats.stop == last and beats.start <= begin:
                return beats, states
        if not last:
            nothing = torch.zeros(1, 1, self._width, device=self._device)
            return range(1), nothing
        frame = _frame_at(grid, begin)
        clock = _clock(grid, metre, begin, last).to(self._device)
        heard = _frames_until(clock.times[0, 1:])
        mean = self._means[frame : int(heard[-1])][heard - 1 - frame]
        states = self._encoder.tower.encode(
            self._frames[frame : int(heard[-1])][None],
            AUDIO_FRAME_RATE,
            _counted(clock._replace(times=clock.times - frame / AUDIO_FRAME_RATE)),
            context=self._encoder.tower.mean_spectrum(mean[None]),
        )
        self._encoded = metre, range(begin, last), states
        return range(begin, last), states

    def _read_sound(self, seconds: Tensor) -> Tensor:
        """What the sound stream says (F, width) at increasing seconds (F,)."""
        if self._encoder.sound is None:
            return self._sound.values.new_zeros(len(seconds), 0)
        done = self._sound.end
        count = (self._log_mel.end - 1 - _SOUND_REACH) // _SOUND_HOP + 1
        if count > done:
            first = max(0, done - _SOUND_MARGIN)
            log_mel = self._log_mel[first * _SOUND_HOP : self._log_mel.end]
            self._sound.append(self._encoder.sound(log_mel[None])[0, done - first : count - first])
            self._log_mel.drop((count - _SOUND_MARGIN) * _SOUND_HOP)
        late = seconds - SOUND_DELAY
        features = self._sound.values.new_zeros(len(seconds), self._sound.values.shape[1])
        if (heard := late >= 0).any():
            begin = self._sound.first * _SOUND_HOP / AUDIO_FRAME_RATE
            features[heard] = self._encoder.sound.interpolate(
                self._sound.values[None], late[heard][None] - begin
            )[0]
            self._sound.drop(int(float(late[-1]) * AUDIO_FRAME_RATE / _SOUND_HOP) - 1)
        return features


class _Tail:
    """The end of a sequence (n, ...) that goes on; places are counted from its very beginning."""

    def __init__(self, values: Tensor) -> None:
        self.values, self.first = values, 0

    @property
    def end(self) -> int:
        """Length of the whole sequence."""
        return self.first + len(self.values)

    def __getitem__(self, place: slice) -> Tensor:
        return self.values[place.start - self.first : place.stop - self.first]

    def append(self, values: Tensor) -> None:
        """Let the sequence go on."""
        self.values = torch.cat([self.values, values])

    def drop(self, before: int) -> None:
        """Forget what is before a place."""
        known = max(before - self.first, 0)
        self.values, self.first = self.values[known:], self.first + known


def _first_needed(beat: int) -> int:
    """The first beat that the state of a beat needs: its window begins a step later."""
    return max(0, (beat - LiveTower.margin) // _STEP - 1) * _STEP


def _frame_at(grid: LiveGrid, beat: int) -> int:
    """The first frame of the spectrum that is part of a beat."""
    return max(0, int(grid.times[beat] * AUDIO_FRAME_RATE) - 1)


def _frames_until(times: Tensor) -> Tensor:
    """How many frames of the spectrum are part of the time up to some seconds."""
    return (times * AUDIO_FRAME_RATE + 0.5).ceil().long()


def _clock(grid: LiveGrid, metre: int, first: int, last: int) -> Clock:
    """The clock of some beats, all in one metre."""
    return Clock(
        torch.from_numpy(grid.times[first : last + 1])[None],
        torch.from_numpy(grid.positions[first:last] % metre)[None],
        torch.tensor([metre]),
        torch.ones(1, last - first, dtype=torch.bool),
    )


def _counted(clock: Clock) -> Clock:
    """The clock with beats counted from the first one: where a bar begins changes no state."""
    count = torch.arange(clock.mask.shape[1], device=clock.mask.device)
    return clock._replace(positions=count % clock.beats_per_bar[:, None])
