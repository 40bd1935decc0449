"""MotionBeat: an audio tower and a motion tower on beat-synchronous tokens.

Each tower embeds the positions of a beat as one token and relates tokens by phase-rotated attention
(the motion tower by contact-guided attention as well). Its states are read at any moment by
*carrying*: the states of the nearest beats, interpolated, turned by the bar phase of that moment. A
linear layer on carried states is a Fourier series over the beat whose coefficients the state sets,
so pulses between and on beats need no finer tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.encoder import Encoder
from motionbeat.kinematics import FEATURES, PULSES
from motionbeat.layers import Block, ContactGuidedAttention, PhaseAttention, PhaseRotation
from motionbeat.rhythm import accent_curve, beat_grid, onset_envelope
from motionbeat.spectrum import LogMelSpectrum
from motionbeat.tokens import POSITIONS, Clock, beat_synchronous

SAMPLE_RATE = 22_050
HOP = 220
BANDS = 80
AUDIO_RATE = SAMPLE_RATE / HOP
"""Spectral frames a second."""

FRAME_RATE = 50.0
"""Frames a second of the encoder's output."""

MOTION_RATE = 30.0
"""Rows of motion features a second."""

WHEN_RATE = 10.0
"""Moments a second at which embeddings of a clip are compared."""

_WHAT, _WHEN = 128, 16  # channels of an embedding: of the whole clip, of each moment
_STEM = 64
_WINDOW, _MARGIN = 48, 12  # beats that attend to each other, and those of them on each side that
# another window answers for
_COLOURLESS = 0.3  # share of training clips whose average spectrum is hidden


@dataclass(frozen=True)
class Size:
    """Size of the two towers.

    Attributes:
        width: channels of a token.
        heads: of each attention.
        audio_blocks: blocks of the audio tower.
        motion_blocks: blocks of the motion tower.
        dropout: in the feed-forward layers.
    """

    width: int
    heads: int
    audio_blocks: int
    motion_blocks: int
    dropout: float = 0.1


SIZES = {
    "tiny": Size(32, 2, 2, 1),
    "small": Size(192, 6, 6, 4),
    "base": Size(512, 8, 12, 8),
}
"""``tiny`` for tests, ``small`` is the size of the shipped weights, ``base`` a full-scale model."""


class Tower(nn.Module):
    """What both towers share: stem, blocks, and the heads that read carried states.

    Args:
        features: columns of the input frames.
        extras: columns added to each token.
        size: of the tower.
        attention: the attention of each block.
    """

    def __init__(
        self, features: int, extras: int, size: Size, attention: Sequence[PhaseAttention]
    ) -> None:
        super().__init__()
        width = size.width
        self.stem = nn.ModuleList(
            nn.Conv1d(inner, _STEM, 5, padding="same") for inner in (features, _STEM)
        )
        self.token = nn.Linear(POSITIONS * _STEM + extras, width)
        self.blocks = nn.ModuleList(Block(one, width, size.dropout) for one in attention)
        self.norm = nn.LayerNorm(width)
        self.rotation = PhaseRotation(width)
        self.what = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, _WHAT))
        self.when = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, _WHEN))
        self.rhythm = nn.Linear(width, 2)

    def encode(
        self, frames: Tensor, rate: float, clock: Clock, extras: Tensor, contact: Tensor | None
    ) -> list[Tensor]:
        """States (B, n, width) of the beats: the tokens, then what each block makes of them."""
        mask = clock.mask.repeat_interleave(POSITIONS, dim=1).unsqueeze(1)
        x = beat_synchronous(frames, rate, clock).mT
        for convolution in self.stem:
            x = functional.gelu(convolution(x)) * mask
        x = x.mT.reshape(len(x), -1, POSITIONS * _STEM)
        periods = clock.periods.clamp(0.1, 3.0).log2().unsqueeze(-1).to(x.dtype)
        x = self.token(torch.cat([x, periods, extras.expand(-1, x.shape[1], -1)], dim=-1))
        states = [x]
        windows = _Windows(clock.mask)
        seen = [windows.cut(one) for one in (clock.phase, clock.mask)]
        metre = clock.beats_per_bar.repeat_interleave(windows.count, dim=0)
        guide = [] if contact is None else [windows.cut(contact)]
        x = windows.cut(x)
        for block in self.blocks:
            x = block(x, seen[0], metre, seen[1], *guide)
            states.append(windows.join(x))
        states[-1] = self.norm(states[-1])
        return states

    def carry(self, states: Tensor, clock: Clock, seconds: Tensor) -> Tensor:
        """States (B, n, width) of the beats at (B, F) seconds: (B, F, width)."""
        found = clock.interpolate(states, seconds)
        phase, metre = clock.phase_at(seconds), clock.beats_per_bar[:, None]
        carried: Tensor = self.rotation(found, phase, metre)
        return carried

    def embed(self, states: Tensor, clock: Clock, seconds: Tensor) -> Tensor:
        """Embedding of clips.

        The first half of a squared embedding's unit length is *what* is heard or danced, from the
        mean over the beats; the other is *when*, from carried states moment by moment less their
        mean. So the cosine of two embeddings is the mean of two cosines.

        Args:
            states: (B, n, width).
            clock: the beats of the clips.
            seconds: (B, F) moments to compare, the same for all that shall be compared.

        Returns:
            (B, d) of unit length.
        """
        weights = clock.mask.unsqueeze(-1) / clock.mask.sum(dim=1)[:, None, None]
        what = self.what((states * weights).sum(dim=1))
        when = self.when(self.carry(states, clock, seconds))
        when = (when - when.mean(dim=1, keepdim=True)).flatten(1)
        parts = [functional.normalize(part.float(), dim=-1) for part in (what, when)]
        return torch.cat(parts, dim=-1) / 2**0.5

    def rhythms(self, states: Tensor, clock: Clock, seconds: Tensor) -> Tensor:
        """Logits (B, F, 2) of the rhythm heads at (B, F) seconds: onsets, then contact pulses."""
        logits: Tensor = self.rhythm(self.carry(states, clock, seconds))
        return logits


class AudioTower(Tower):
    """The tower that listens.

    Args:
        size: of the tower.
        rotate: False leaves phase rotation out of the attention, for comparison.
    """

    def __init__(self, size: Size, rotate: bool = True) -> None:
        attention = [
            PhaseAttention(size.width, size.heads, rotate) for _ in range(size.audio_blocks)
        ]
        super().__init__(BANDS, 2 + BANDS, size, attention)

    def forward(self, log_mel: Tensor, lengths: Tensor, clock: Clock) -> list[Tensor]:
        """Encode spectra.

        The average spectrum is taken off the frames, which makes them blind to loudness and
        equalisation, and given to every token beside them.

        Args:
            log_mel: (B, T, BANDS) at ``AUDIO_RATE``.
            lengths: (B,) valid frames of each clip.
            clock: the beats.

        Returns:
            States (B, n, width): the tokens', then each block's.
        """
        mask = (torch.arange(log_mel.shape[1], device=lengths.device) < lengths[:, None])[..., None]
        mean = (log_mel * mask).sum(dim=1, keepdim=True) / lengths[:, None, None]
        colour = mean - 1.0
        if self.training:
            kept = torch.rand(len(colour), 1, 1, device=colour.device) >= _COLOURLESS
            colour = colour * kept
        metre = (clock.beats_per_bar == 3)[:, None, None].to(colour.dtype)
        extras = torch.cat([metre, colour], dim=-1)
        return self.encode((log_mel - mean) * mask, AUDIO_RATE, clock, extras, None)


class MotionTower(Tower):
    """The tower that watches.

    Args:
        size: of the tower.
        rotate: False leaves phase rotation out of the attention, for comparison.
        guide: False leaves contact guidance out, for comparison.
    """

    def __init__(self, size: Size, rotate: bool = True, guide: bool = True) -> None:
        kind = ContactGuidedAttention if guide else PhaseAttention
        attention = [kind(size.width, size.heads, rotate) for _ in range(size.motion_blocks)]
        super().__init__(FEATURES, 2, size, attention)
        self.guide = guide

    def forward(self, features: Tensor, clock: Clock) -> list[Tensor]:
        """Encode motion.

        Args:
            features: (B, T, FEATURES) at ``MOTION_RATE``; 0 beyond the end of a clip.
            clock: the beats.

        Returns:
            States (B, n, width): the tokens', then each block's.
        """
        metre = (clock.beats_per_bar == 3)[:, None, None].to(features.dtype)
        pulses = features[..., PULSES : PULSES + 1]
        strikes = beat_synchronous(pulses, MOTION_RATE, clock).reshape(len(metre), -1, POSITIONS)
        contact = strikes.amax(dim=2) if self.guide else None
        return self.encode(features, MOTION_RATE, clock, metre, contact)


class MotionBeat(nn.Module):
    """Both towers.

    Args:
        size: name in ``SIZES``.
        rotate: False leaves phase rotation out of the attention, for comparison.
        guide: False leaves contact guidance out, for comparison.

    Raises:
        KeyError: no size of that name.
    """

    def __init__(self, size: str = "small", rotate: bool = True, guide: bool = True) -> None:
        super().__init__()
        self.audio = AudioTower(SIZES[size], rotate)
        self.motion = MotionTower(SIZES[size], rotate, guide)


class Listening(nn.Module):
    """From waveforms to spectra and beats: all that the audio tower is told about a clip."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = LogMelSpectrum(SAMPLE_RATE, HOP, BANDS)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Clock]:
        """Map (B, T) samples at ``SAMPLE_RATE`` to (B, frames, BANDS) and the beats heard."""
        log_mel = self.spectrum(waveform)
        curves = log_mel.float().cpu().numpy()
        grids = [
            beat_grid(onset_envelope(one, AUDIO_RATE), accent_curve(one, AUDIO_RATE), AUDIO_RATE)
            for one in curves
        ]
        return log_mel, Clock.of(grids).to(log_mel.device)


class _Windows:
    """Cuts sequences of beats into overlapping windows, and joins their middles again.

    Which window answers for a beat depends on its number alone, so a clip has the same states in
    any batch.
    """

    def __init__(self, mask: Tensor) -> None:
        size, step = mask.shape[1], _WINDOW - 2 * _MARGIN
        place = torch.arange(size, device=mask.device)
        self.owner = ((place - _MARGIN) // step).clamp_min(0)
        self.count = max(0, (size - 1 - _MARGIN) // step) + 1
        self.starts = torch.arange(self.count, device=mask.device) * step
        self.place = place
        self.length = min(_WINDOW, size)
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
    """The audio tower as a frozen encoder: its states carried to the frames of a fixed rate.

    Args:
        model: the towers; only the one that listens is used.
    """

    context = 10.0

    def __init__(self, model: MotionBeat) -> None:
        super().__init__()
        self.listening = Listening()
        self.tower = model.audio
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples at 22.05 kHz as (B, blocks + 1, frames, width) at 50 Hz."""
        log_mel, clock = self.listening(waveform)
        lengths = torch.full((len(log_mel),), log_mel.shape[1], device=log_mel.device)
        states = self.tower(log_mel, lengths, clock)
        seconds = frame_times(waveform)
        return torch.stack([self.tower.carry(one, clock, seconds) for one in states], dim=1)


def frame_times(waveform: Tensor) -> Tensor:
    """(B, F) seconds of the frames of (B, T) samples at ``SAMPLE_RATE``."""
    count = int(waveform.shape[1] * FRAME_RATE / SAMPLE_RATE) + 1
    return (torch.arange(count, device=waveform.device) / FRAME_RATE).expand(len(waveform), -1)
