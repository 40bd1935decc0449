"""MS-CLAP, a Swin transformer that hears what captions say (Elizalde, Deshmukh and Wang, 2023).

Weights: ``CLAP_weights_2023.pth`` of https://zenodo.org/records/8378278, code:
https://github.com/microsoft/CLAP, paper: https://arxiv.org/abs/2309.05767.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from motionbeat.benchmarks.encoders.pretrained.clap import HtsatEncoder
from motionbeat.benchmarks.encoders.pretrained.weight_files import (
    FileEncoder,
    below,
    hollow,
    load_strictly,
)
from motionbeat.encoder import EncoderCard

_SAMPLE_RATE = 44_100
_FRAME = 9647  # samples: 32 of these are 7 s and four samples
_BINS, _BANDS = 513, 64
_NAMES = {  # from those of the file to those of transformers, in this order
    "bn0.": "batch_norm.",
    ".attn.proj.": ".attention.output.dense.",
    ".attn.": ".attention.self.",
    ".norm1.": ".layernorm_before.",
    ".norm2.": ".layernorm_after.",
    ".mlp.fc1.": ".intermediate.dense.",
    ".mlp.fc2.": ".output.dense.",
}


class MsClap2023(HtsatEncoder, FileEncoder):
    """The audio tower of MS-CLAP of 2023.

    It sees 7 s at a time, as in its training. Frames lie within 4 ms of their nominal times, as the
    network stretches 965 frames of spectrum to 1024. The mel bands are those of the file: paper and
    code state different ones.

    Raises:
        MotionBeatError: the weights are not there, damaged or those of another network.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="ms-clap-2023",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / _FRAME,
        layers=1,
        width=96 + 96 + 192 + 384 + 768,
        parameters=27_534_488,
        licence="MS-PL",
        training_data=(
            "AudioCaps",
            "AudioSet",
            "Clotho",
            "CMU-MOSEI",
            "CMU-MOSI",
            "CochlScene",
            "EPIC-Kitchens",
            "findsounds.com",
            "FMA",
            "FSD50K",
            "IEMOCAP",
            "Kinetics-700",
            "LJSpeech",
            "MACS",
            "MELD",
            "MSP-Podcast",
            "NSynth",
            "SoundDescs",
            "WavCaps",
            "WavText5K",
        ),
        source="https://arxiv.org/abs/2309.05767, zenodo.org/records/8378278",
        experimental=True,
    )
    context: ClassVar[float] = 7.0
    file: ClassVar[str] = "CLAP_weights_2023.pth"
    origin: ClassVar[str] = "https://zenodo.org/records/8378278"
    hop: ClassVar[int] = 320
    frame: ClassVar[int] = _FRAME
    filters: ClassVar[int] = 96  # features of a patch

    def load(self) -> tuple[Any, Tensor]:
        """The network and the mel bands of the file."""
        part = "audio_encoder.base.htsat."
        tensors = below(self.read("model", part), part)
        model = hollow(network, self.filters)
        unused = ("logmel_extractor.", "spectrogram_extractor.", "tscam_conv.", "head.")
        load_strictly(model.audio_encoder, _renamed(tensors), self.path(), unused)
        mel = nn.Module()
        mel.register_buffer("melW", torch.empty(_BINS, _BANDS))
        load_strictly(mel, below(tensors, "logmel_extractor."), self.path())
        return model, mel.get_buffer("melW")


def network(width: int) -> Any:
    """HTSAT as ``transformers`` states it.

    Args:
        width: features of a patch; the last stage has eight times as many.
    """
    from transformers import ClapAudioConfig, ClapAudioModel

    return ClapAudioModel(ClapAudioConfig(patch_embeds_hidden_size=width, hidden_size=8 * width))


def _renamed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by the names of ``transformers``, which knows queries, keys and values apart."""
    renamed = {}
    for name, tensor in tensors.items():
        if name.endswith(".attn_mask"):  # made anew at each call
            continue
        parts = {name: tensor}
        if ".qkv." in name:
            kinds = ("query", "key", "value")
            chunks = zip(kinds, tensor.chunk(len(kinds)), strict=True)
            parts = {name.replace("qkv", kind): chunk for kind, chunk in chunks}
        for new, part in parts.items():
            for theirs, ours in _NAMES.items():
                new = new.replace(theirs, ours)
            renamed[new] = part
    return renamed
