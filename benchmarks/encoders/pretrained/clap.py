"""LAION-CLAP and MS-CLAP: a Swin transformer (HTSAT) that hears what captions say.

The weights of LAION-CLAP on the hub were made from ``music_audioset_epoch_15_esc_90.14.pt`` of
https://github.com/LAION-AI/CLAP, which says what it was trained on. Code of MS-CLAP:
https://github.com/microsoft/CLAP.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.benchmarks.encoders.frames import mel_decibels
from motionbeat.benchmarks.encoders.pretrained.hub import TRANSFORMERS, TransformersEncoder
from motionbeat.benchmarks.encoders.pretrained.weight_files import FileEncoder, below
from motionbeat.encoder import Encoder, EncoderCard

_FFT_SIZE, _BANDS = 1024, 64
_FRAMES = 32  # of a window
_MS_DATA = """
AudioCaps AudioSet Clotho CMU-MOSEI CMU-MOSI CochlScene EPIC-Kitchens findsounds.com FMA FSD50K
IEMOCAP Kinetics-700 LJSpeech MACS MELD MSP-Podcast NSynth SoundDescs WavCaps WavText5K
"""
_MS_FRAME = 9647  # samples: 32 of these are 7 s and four samples
_NAMES = {  # from those of MS-CLAP's file to those of transformers, in this order
    "bn0.": "batch_norm.",
    ".attn.proj.": ".attention.output.dense.",
    ".attn.": ".attention.self.",
    ".norm1.": ".layernorm_before.",
    ".norm2.": ".layernorm_after.",
    ".mlp.fc1.": ".intermediate.dense.",
    ".mlp.fc2.": ".output.dense.",
}


class HtsatEncoder(Encoder):
    """HTSAT, a transformer over windows of a spectrum that are folded into a square each.

    It thins a window out, stage by stage, to 32 frames; longer input is cut into such windows, so
    that what a frame is told depends on where they begin. The last one is filled up by repeating
    the piece, as short ones are in the published preprocessing. The hidden layer joins the embedded
    patches and the states of all stages, averaged over frequency and over the time of such a frame.

    Attributes:
        frame: distance of frames in samples.
        mel: from (N, samples) to decibels (N, bands, spectra).
        network: ``ClapAudioEncoder`` of transformers.
    """

    packages: ClassVar[Mapping[str, str]] = TRANSFORMERS
    frame: ClassVar[int]
    mel: Any
    network: Any

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, T // frame + 1, width)."""
        whole = _FRAMES * self.frame
        frames = waveform.shape[-1] // self.frame + 1
        windows = -(-frames // _FRAMES)
        padded = functional.pad(waveform, (self.frame // 2, 0))
        repeated = torch.arange(windows * whole, device=waveform.device) % padded.shape[-1]
        mel = self.mel(padded[:, repeated].view(-1, whole))
        hidden = self.network(
            mel.mT.unsqueeze(1),
            output_hidden_states=True,
            output_hidden_states_before_downsampling=True,
        ).hidden_states
        states = torch.cat([self._along_time(stage, hidden[-1].shape[-1]) for stage in hidden], -1)
        return states.view(len(waveform), 1, -1, states.shape[-1])[:, :, :frames]

    def _along_time(self, stage: Tensor, columns: int) -> Tensor:
        """States (B, width, rows, columns) of a stage as (B, frames, width).

        Its rows hold quarters of the window one below the other, in each the frequencies.
        """
        quarters = self.network.freq_ratio
        batch, width, rows, across = stage.shape
        cells = stage.reshape(batch, width, quarters, rows // quarters, columns, across // columns)
        return cells.mean(dim=(3, 5)).flatten(2).mT


class ClapMusic(HtsatEncoder, TransformersEncoder):
    """The audio tower of CLAP trained on music, AudioSet and LAION-Audio-630k.

    It sees 10 s at a time. Frames lie within 5 ms of their nominal times, as the network stretches
    1001 frames of spectrum to 1024.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="clap-music",
        revision="1@a0b4534a",
        sample_rate=48_000,
        frame_rate=3.2,
        layers=1,
        width=128 + 128 + 256 + 512 + 1024,
        parameters=67_824_408,
        licence="Apache-2.0",
        training_data=("AudioSet", "LAION-Audio-630K", "music (undisclosed)"),
        source="https://arxiv.org/abs/2211.06687, https://huggingface.co/laion/larger_clap_music",
    )
    context: ClassVar[float] = 10.0
    repo: ClassVar[str] = "laion/larger_clap_music"
    commit: ClassVar[str] = "a0b4534a14f58e20944452dff00a22a06ce629d1"
    files: ClassVar[tuple[str, ...]] = ("config.json", "pytorch_model.bin")
    kind: ClassVar[str] = "ClapAudioModelWithProjection"
    part: ClassVar[str] = "audio_model.audio_encoder"
    frame: ClassVar[int] = 15_000

    def __init__(self) -> None:
        super().__init__()
        scale = {"f_min": 50, "f_max": 14_000, "norm": "slaney", "mel_scale": "slaney"}
        self.mel = mel_decibels(48_000, _FFT_SIZE, 480, _BANDS, pad_mode="reflect", **scale)
        self.eval()


class MsClap2023(HtsatEncoder, FileEncoder):
    """The audio tower of MS-CLAP of 2023.

    It sees 7 s at a time, as in its training. Frames lie within 4 ms of their nominal times, as the
    network stretches 965 frames of spectrum to 1024. The mel bands are those of the file: paper and
    code state different ones.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="ms-clap-2023",
        revision="1",
        sample_rate=44_100,
        frame_rate=44_100 / _MS_FRAME,
        layers=1,
        width=96 + 96 + 192 + 384 + 768,
        parameters=27_534_488,
        licence="MS-PL",
        training_data=tuple(_MS_DATA.split()),
        source="https://arxiv.org/abs/2309.05767, zenodo.org/records/8378278",
        experimental=True,
    )
    context: ClassVar[float] = 7.0
    file: ClassVar[str] = "CLAP_weights_2023.pth"
    origin: ClassVar[str] = "https://zenodo.org/records/8378278"
    sizes: ClassVar[tuple[int, ...]] = (96,)
    key: ClassVar[str] = "model"
    unused: ClassVar[tuple[str, ...]] = ("logmel_", "spectrogram_", "tscam_conv.", "head.")
    frame: ClassVar[int] = _MS_FRAME

    def __init__(self) -> None:
        super().__init__()
        self.mel = mel_decibels(44_100, _FFT_SIZE, 320, _BANDS, pad_mode="reflect")
        self.mel[0].mel_scale.fb.copy_(self.network.mel_bands)
        self.eval()

    @staticmethod
    def build(width: int) -> nn.Module:
        """HTSAT of ``transformers``, whose last stage is eight times as wide, and the mel bands."""
        from transformers import ClapAudioConfig, ClapAudioModel

        config = ClapAudioConfig(patch_embeds_hidden_size=width, hidden_size=8 * width)
        network: nn.Module = ClapAudioModel(config).audio_encoder
        network.register_buffer("mel_bands", torch.empty(_FFT_SIZE // 2 + 1, _BANDS))
        return network

    def named(self, tensors: dict[str, Any]) -> dict[str, Any]:
        """Tensors by the names of ``transformers``, which knows queries, keys and values apart."""
        renamed = {}
        for name, tensor in below(tensors, "audio_encoder.base.htsat.").items():
            if name.endswith(".attn_mask"):  # made anew at each call
                continue
            if name == "logmel_extractor.melW":
                name = "mel_bands"
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
