"""MotionBeat: an audio tower and a motion tower on beat-synchronous tokens.

Each tower embeds a beat as one token and relates tokens by phase-rotated attention; the motion
tower also has contact guidance. States at any time are computed by interpolating the states of the
nearest beats and rotating them by the bar phase of that time. A linear layer on these states is a
Fourier series over the beat, whose coefficients are given by the states. One token per beat can
therefore represent events between beats.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.encoder import Encoder
from motionbeat.kinematics import CONTACTS, FEATURES, PULSES
from motionbeat.layers import AddedPhase, Block, PhaseAttention, PhaseRotation
from motionbeat.rhythm import music_grid
from motionbeat.sound import SoundStream
from motionbeat.spectrum import AUDIO_FRAME_RATE, BANDS, HOP, SAMPLE_RATE, LogMelSpectrum
from motionbeat.tokens import POSITIONS, Clock, beat_synchronous

FRAME_RATE = 50.0
"""Frame rate of the encoder's output (Hz)."""

MOTION_FRAME_RATE = 30.0
"""Frame rate of motion features (Hz)."""

EMBEDDING_FRAME_RATE = 10.0
"""Frame rate of the time embedding (Hz)."""

PHASES = ("beat", "half-bar", "bar")
"""Cycles whose phases are in the pulse layer."""

PULSE_WIDTH = 2 * len(PHASES) + 3
"""Channels of the pulse layer."""

CLIP_WIDTH, TIME_WIDTH = 128, 16
"""Channels of the clip embedding, and of each frame of the time embedding."""

Phase = Literal["rotated", "read", "added", "none"]
"""How towers use the bar phase: rotation in attention and of interpolated states; of interpolated
states alone; an embedding added to tokens and to interpolated states; or not at all."""

Contacts = Literal["both", "features", "guidance", "none"]
"""How the motion tower uses foot contacts: as features, as guidance of its attention, in both ways
or not at all."""

WINDOW, MARGIN = 48, 12
"""Length of an attention window in beats, and the number of beats on each side whose states are
taken from the neighbouring window."""

_STEM = 64
_MEAN_LEVEL = 1.0  # about that of a mean spectrum
_CHUNK = 20 * (WINDOW - 2 * MARGIN)  # beats of a long recording encoded at once, and
_FRAMES = 3000  # frames interpolated at once
_MEAN_SPECTRUM_DROPOUT = 0.3  # share of training clips whose mean spectrum is hidden


@dataclass(frozen=True)
class Size:
    """Size of a model.

    Attributes:
        width: channels of a token.
        heads: attention heads per block.
        audio_blocks: number of blocks of the audio tower.
        motion_blocks: number of blocks of the motion tower.
        sound: channels of the sound stream.
        dropout: dropout probability in the towers.
    """

    width: int
    heads: int
    audio_blocks: int
    motion_blocks: int
    sound: int
    dropout: float = 0.1


SIZES = {
    "tiny": Size(32, 2, 2, 1, 24),
    "small": Size(192, 6, 6, 4, 516),
    "base": Size(512, 8, 12, 8, 1032),
}
"""``tiny`` for tests, ``small`` is the size of the shipped weights, ``base`` a full-scale model."""


class Tower(nn.Module):
    """Base of both towers: stem, blocks, and heads on interpolated states.

    Args:
        features: number of features of a frame.
        context: number of additional input channels of a token.
        size: size of the model.
        blocks: number of blocks.
        phase: use of the bar phase.
        contact_guidance: whether attention is guided by foot contacts.
    """

    margin = MARGIN

    def __init__(
        self,
        features: int,
        context: int,
        size: Size,
        blocks: int,
        phase: Phase,
        contact_guidance: bool = False,
    ) -> None:
        # Made before the stem, as the draws of their weights follow the order of construction.
        attention = [
            PhaseAttention(size.width, size.heads, phase == "rotated", contact_guidance)
            for _ in range(blocks)
        ]
        super().__init__()
        width = size.width
        self.stem = nn.ModuleList(
            nn.Conv1d(channels, _STEM, 5, padding="same") for channels in (features, _STEM)
        )
        self.token = nn.Linear(POSITIONS * _STEM + 2 + context, width)
        self.blocks = nn.ModuleList(Block(one, width, size.dropout) for one in attention)
        self.norm = nn.LayerNorm(width)
        self.rotation = PhaseRotation(width) if phase in ("rotated", "read") else None
        self.clip_head, self.time_head = (
            nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, channels))
            for channels in (CLIP_WIDTH, TIME_WIDTH)
        )
        self.rhythm_head = nn.Linear(width, 2)
        self.token_phase, self.state_phase = (
            AddedPhase(width) if phase == "added" else None for _ in range(2)
        )

    def encode(
        self, frames: Tensor, frame_rate: float, clock: Clock, *,
        context: Tensor | None = None, contact: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """States (B, n, width) of the beats.

        Args:
            frames: (B, T, features).
            frame_rate: frame rate of ``frames`` in Hz.
            clock: beats of the clips.
            context: (B, 1 or n, context) additional inputs of the tokens.
            contact: (B, n) contact strength of each beat, for guidance.
        """
        mask = clock.mask.repeat_interleave(POSITIONS, dim=1).unsqueeze(1)
        x = beat_synchronous(frames, frame_rate, clock).mT
        x = self.convolve(x, mask).mT.reshape(len(x), -1, POSITIONS * _STEM)
        periods = clock.periods.clamp(0.1, 3.0).log2().unsqueeze(-1).to(x.dtype)
        in_three = (clock.beats_per_bar == 3)[:, None, None].to(x.dtype)
        whole = [in_three] if context is None else [in_three, context]
        inputs = [x, periods, *(one.expand(-1, x.shape[1], -1) for one in whole)]
        x = self.token(torch.cat(inputs, dim=-1))
        if self.token_phase is not None:
            x = self.token_phase(x, clock.phase, clock.beats_per_bar[:, None])
        windows = _Windows(clock.mask, self.margin)
        phase, mask = windows.cut(clock.phase), windows.cut(clock.mask)
        metre = clock.beats_per_bar.repeat_interleave(windows.count, dim=0)
        contact = None if contact is None else windows.cut(contact)
        x = windows.cut(x)
        for block in self.blocks:
            x = block(x, phase, metre, mask, contact)
        states: Tensor = self.norm(windows.join(x))
        return states

    def convolve(self, x: Tensor, mask: Tensor) -> Tensor:
        """Apply the stem to (B, features, n * POSITIONS); ``mask`` (B, 1, ...) is 0 at padding."""
        for convolution in self.stem:
            x = functional.gelu(convolution(x)) * mask
        return x

    def states_at(self, states: Tensor, clock: Clock, seconds: Tensor) -> Tensor:
        """States (B, n, width) of the beats, interpolated at (B, F) seconds."""
        return clock.interpolate(states, seconds)

    def interpolate_states(self, states: Tensor, clock: Clock, seconds: Tensor) -> Tensor:
        """States (B, n, width) of the beats at (B, F) seconds: interpolated, then rotated."""
        between = self.states_at(states, clock, seconds)
        read = self.rotation if self.state_phase is None else self.state_phase
        if read is None:
            return between
        rotated: Tensor = read(between, clock.phase_at(seconds), clock.beats_per_bar[:, None])
        return rotated

    def embed(self, states: Tensor, clock: Clock, seconds: Tensor) -> Tensor:
        """Embeddings (B, d) of clips, of unit norm.

        An embedding concatenates two parts of equal norm: the clip embedding, from the mean state
        of the beats, and the time embedding, from the states at (B, F) seconds minus their mean.
        The cosine of two embeddings is therefore the mean of the cosines of both parts. All clips
        to be compared need the same number of times F.
        """
        weights = clock.mask.unsqueeze(-1) / clock.mask.sum(dim=1)[:, None, None]
        clip = self.clip_head((states * weights).sum(dim=1))
        time = self.time_head(self.interpolate_states(states, clock, seconds))
        time = (time - time.mean(dim=1, keepdim=True)).flatten(1)
        parts = [functional.normalize(part.float(), dim=-1) for part in (clip, time)]
        return torch.cat(parts, dim=-1) / 2**0.5

    def rhythms(self, states: Tensor, clock: Clock, seconds: Tensor) -> Tensor:
        """Logits (B, F, 2) of the rhythm heads at (B, F) seconds: onsets, then contact pulses."""
        logits: Tensor = self.rhythm_head(self.interpolate_states(states, clock, seconds))
        return logits


class AudioTower(Tower):
    """The audio tower.

    The mean spectrum is subtracted from the frames, which makes them invariant to loudness and
    equalisation, and is a separate input of every token.
    """

    def __init__(self, size: Size, phase: Phase = "rotated") -> None:
        super().__init__(BANDS, BANDS, size, size.audio_blocks, phase)
        self.phase_head = nn.Linear(size.width, 2 * len(PHASES))

    def phases(self, states: Tensor, clock: Clock, seconds: Tensor) -> Tensor:
        """Estimated phases (B, F, 2 * len(PHASES)): the cosines, then the sines.

        Their magnitude indicates confidence. They are a linear map of the rotated states, so they
        can correct the phase of the beat tracker by any shift.
        """
        phases: Tensor = self.phase_head(self.interpolate_states(states, clock, seconds))
        return phases

    def pulses(self, states: Tensor, clock: Clock, seconds: Tensor) -> Tensor:
        """The pulse layer (B, F, PULSE_WIDTH).

        It consists of the estimated phases, the probabilities of an onset and of a contact, and the
        duration of the beat in octaves relative to 0.5 s.
        """
        rhythms = self.rhythms(states, clock, seconds).sigmoid()
        octaves = (2 * clock.periods).clamp_min(0.05).log2().unsqueeze(-1).to(states.dtype)
        tempo = self.states_at(octaves, clock, seconds)
        return torch.cat([self.phases(states, clock, seconds), rhythms, tempo], dim=-1)

    def forward(self, log_mel: Tensor, lengths: Tensor, clock: Clock) -> Tensor:
        """Encode (B, T, BANDS) at ``AUDIO_FRAME_RATE`` with (B,) valid frames, as in ``encode``."""
        mask = (torch.arange(log_mel.shape[1], device=lengths.device) < lengths[:, None])[..., None]
        mean = (log_mel * mask).sum(dim=1, keepdim=True) / lengths[:, None, None]
        frames = (log_mel - mean) * mask
        return self.encode(frames, AUDIO_FRAME_RATE, clock, context=self.mean_spectrum(mean))

    def mean_spectrum(self, mean: Tensor) -> Tensor:
        """The token input from the mean (B, 1 or n, BANDS); set to 0 in some training clips."""
        mean = mean - _MEAN_LEVEL
        if not self.training:
            return mean
        draws = torch.rand(len(mean), 1, 1, device=mean.device)
        return mean * (draws >= _MEAN_SPECTRUM_DROPOUT)


class MotionTower(Tower):
    """The motion tower."""

    def __init__(self, size: Size, phase: Phase = "rotated", contacts: Contacts = "both") -> None:
        guided = contacts in ("both", "guidance")
        super().__init__(FEATURES, 0, size, size.motion_blocks, phase, guided)
        self.contacts = contacts

    def forward(self, features: Tensor, clock: Clock) -> Tensor:
        """Encode (B, T, FEATURES) at ``MOTION_FRAME_RATE``, as in ``encode``."""
        pulses = beat_synchronous(features[..., PULSES : PULSES + 1], MOTION_FRAME_RATE, clock)
        contact = pulses.reshape(len(pulses), -1, POSITIONS).amax(dim=2)
        if self.contacts in ("guidance", "none"):
            features = features.clone()
            features[..., CONTACTS] = 0
        return self.encode(features, MOTION_FRAME_RATE, clock, contact=contact)


class MotionBeat(nn.Module):
    """Both towers, and the sound stream.

    Args:
        size: name in ``SIZES``.
        phase: how both towers use the bar phase; values other than the default are for ablation.
        contacts: how the motion tower uses foot contacts; values other than the default are for
            ablation.

    Raises:
        KeyError: there is no such size.
        ValueError: there is no such ``phase`` or ``contacts``.
    """

    def __init__(
        self, size: str = "small", phase: Phase = "rotated", contacts: Contacts = "both"
    ) -> None:
        super().__init__()
        for given, known in ((phase, Phase), (contacts, Contacts)):
            if given not in get_args(known):
                raise ValueError(f"'{given}' is none of {', '.join(get_args(known))}")
        self.size = SIZES[size]
        self.audio = AudioTower(self.size, phase)
        self.motion = MotionTower(self.size, phase, contacts)
        self.sound = SoundStream(self.size.sound)


class AudioFrontend(nn.Module):
    """Computes the inputs of the audio tower from waveforms: mel spectra and beats."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = LogMelSpectrum(SAMPLE_RATE, HOP, BANDS)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Clock]:
        """Map (B, T) samples at ``SAMPLE_RATE`` to (B, frames, BANDS) and the tracked beats."""
        log_mel = self.spectrum(waveform)
        return log_mel, self.beats(log_mel)

    def beats(self, log_mel: Tensor) -> Clock:
        """Track the beats in (B, frames, BANDS) mel spectra."""
        grids = [music_grid(one, AUDIO_FRAME_RATE)[1] for one in log_mel.float().cpu().numpy()]
        return Clock.of(grids).to(log_mel.device)


class _Windows:
    """Cuts sequences of beats into overlapping windows, and joins their middles.

    The window of a beat depends only on its index, so a clip has the same states in any batch.
    """

    def __init__(self, mask: Tensor, margin: int) -> None:
        size, step = mask.shape[1], WINDOW - 2 * MARGIN
        self.place = torch.arange(size, device=mask.device)
        self.owner = ((self.place - margin) // step).clamp_min(0)
        self.count = max(0, (size - 1 - margin) // step) + 1
        self.starts = torch.arange(self.count, device=mask.device) * step
        self.length = min(WINDOW, size)
        self.padding = max(0, int(self.count - 1) * step + self.length - size)

    def cut(self, x: Tensor) -> Tensor:
        """(B, n, ...) to (B * windows, window, ...)."""
        if self.count == 1:
            return x
        tail = x.new_zeros(x.shape[0], self.padding, *x.shape[2:])
        index = self.starts[:, None] + torch.arange(self.length, device=x.device)
        return torch.cat([x, tail], dim=1)[:, index].flatten(0, 1)

    def join(self, x: Tensor) -> Tensor:
        """(B * windows, window, width) back to (B, n, width)."""
        if self.count == 1:
            return x
        windows = x.reshape(-1, self.count, *x.shape[1:])
        joined: Tensor = windows[:, self.owner, self.place - self.starts[self.owner]]
        return joined


class MotionBeatEncoder(Encoder):
    """The audio tower and sound stream of a model as a frozen encoder, with one layer at 50 Hz.

    The layer concatenates the states of the tower after its last block, the pulse layer and the
    sound stream. They are one layer because heads take weighted sums of layers.

    Args:
        model: model whose audio tower and sound stream are used.
        embodied: leave out the sound stream, so that no feature comes from taggers.
    """

    context = math.inf

    def __init__(self, model: MotionBeat, embodied: bool = False) -> None:
        super().__init__()
        self.frontend = AudioFrontend()
        self.tower = model.audio
        self.sound = None if embodied else model.sound
        self.eval().requires_grad_(False)

    @staticmethod
    def width(size: Size, embodied: bool = False) -> int:
        """Number of features per frame."""
        return size.width + PULSE_WIDTH + (0 if embodied else size.sound)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples at 22.05 kHz as (B, 1, frames, width) at 50 Hz."""
        log_mel, clock = self.frontend(waveform)
        lengths = torch.full((len(log_mel),), log_mel.shape[1], device=log_mel.device)
        states = self.tower(log_mel, lengths, clock)
        seconds = frame_times(waveform)
        sound = None if self.sound is None else self.sound.stream(log_mel)
        return self._frames(states, clock, seconds, sound, seconds).unsqueeze(1)

    def _frames(
        self,
        states: Tensor,
        clock: Clock,
        seconds: Tensor,
        sound: Tensor | None,
        sound_seconds: Tensor,
    ) -> Tensor:
        """Features (B, F, width) at (B, F) seconds, on the time axes of clock and sound stream."""
        parts = [
            self.tower.interpolate_states(states, clock, seconds),
            self.tower.pulses(states, clock, seconds),
        ]
        if self.sound is not None and sound is not None:
            parts.append(self.sound.interpolate(sound, sound_seconds))
        return torch.cat(parts, dim=-1)

    def stream(self, waveform: Tensor) -> Iterator[Tensor]:
        """Encode a whole recording, with the tower applied to chunks of beats.

        Mean spectrum and beats are computed from the whole recording. The states of a chunk equal
        those of the whole, because its windows start at the same beats, and one more window is
        computed on either side.
        """
        log_mel = self.frontend.spectrum(waveform)
        seconds = frame_times(waveform)
        del waveform  # frees a gigabyte for three hours
        clock = self.frontend.beats(log_mel)
        sound = None if self.sound is None else self.sound.stream(log_mel)
        mean = log_mel.mean(dim=1, keepdim=True)
        edge, beats = WINDOW - MARGIN, clock.mask.shape[1]
        place = clock.beat(seconds)[0] - 0.5  # among the middles of beats
        done = 0
        for first in range(0, beats, _CHUNK):
            last = min(first + _CHUNK + 2 * edge + 1, beats)
            times = clock.times[0, [first, last]] * AUDIO_FRAME_RATE
            low, high = max(0, int(times[0]) - 1), int(times[1]) + 3
            start = low / AUDIO_FRAME_RATE
            part = clock.beats(first, last, start)
            frames = log_mel[:, low:high] - mean
            context = mean - _MEAN_LEVEL
            states = self.tower.encode(frames, AUDIO_FRAME_RATE, part, context=context)
            count = len(place) if last == beats else int((place < first + _CHUNK + edge).sum())
            for here in torch.split(seconds[:, done:count], _FRAMES, dim=1):
                yield self._frames(states, part, here - start, sound, here)
            done = count
            if last == beats:
                return


def frame_times(waveform: Tensor) -> Tensor:
    """(B, F) seconds of the frames of (B, T) samples at ``SAMPLE_RATE``."""
    count = int(waveform.shape[1] * FRAME_RATE / SAMPLE_RATE) + 1
    frames = torch.arange(count, dtype=torch.float64, device=waveform.device)
    return (frames / FRAME_RATE).expand(len(waveform), -1)
