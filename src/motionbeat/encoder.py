"""The contract every music encoder meets."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class EncoderCard:
    """What a reader of a results table must know about an encoder.

    Attributes:
        name: name on the command line and in every table.
        revision: changes whenever the output for the same audio changes.
        sample_rate: of the waveform the encoder takes, in Hz.
        frame_rate: of the frames it gives, in Hz; frame ``i`` is centred at ``i / frame_rate`` s.
        layers: number of hidden layers given.
        width: features a frame and layer.
        parameters: number of weights, trained or not.
        licence: of the weights, or of the code where there are none.
        training_data: names of the datasets the weights have seen; empty when untrained.
        source: paper, package or repository.
    """

    name: str
    revision: str
    sample_rate: int
    frame_rate: float
    layers: int
    width: int
    parameters: int
    licence: str
    training_data: tuple[str, ...]
    source: str


class Encoder(nn.Module):
    """A frozen music encoder: waveform in, hidden states of all layers out.

    A subclass states its ``card`` and defines ``forward``; its constructor needs no arguments.
    Output frames depend on at most ``context`` seconds of audio on either side, which lets long
    files be encoded piece by piece. An encoder that needs the whole recording says ``math.inf``; it
    is given all samples at once, and overrides :meth:`stream` where that takes much memory.

    Attributes:
        card: what a reader of a results table must know.
        context: seconds of audio on either side that a frame depends on.
        packages: what it imports beyond the suite's own dependencies, by the name to import, with
            the arguments of ``pip install`` as a shell wants them quoted. The module of an encoder
            imports them in functions alone, so that encoders can be listed where they are missing.
    """

    card: ClassVar[EncoderCard]
    context: ClassVar[float] = 5.0
    packages: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def unavailable(cls) -> str | None:
        """Why this encoder cannot be made here, with the remedy; None when it can.

        Nothing heavy is imported to find out.
        """
        missing = [install for name, install in cls.packages.items() if find_spec(name) is None]
        return f"not installed; run: pip install {' '.join(missing)}" if missing else None

    @classmethod
    def here(cls) -> str:
        """What a list of encoders says of it: ``yes``, or what must come first."""
        return cls.unavailable() or "yes"

    @abstractmethod
    def forward(self, waveform: Tensor) -> Tensor:
        """Encode a batch of waveforms.

        Args:
            waveform: (B, T) float32 in [-1, 1] at ``card.sample_rate``.

        Returns:
            (B, layers, frames, width) with frame ``i`` centred at ``i / card.frame_rate`` s.
        """

    def stream(self, waveform: Tensor) -> Iterator[Tensor]:
        """Encode one whole recording part by part.

        Args:
            waveform: (1, T) float32 in [-1, 1] at ``card.sample_rate``.

        Yields:
            (layers, frames, width) states; together they are those of :meth:`forward`.
        """
        yield self(waveform)[0]
