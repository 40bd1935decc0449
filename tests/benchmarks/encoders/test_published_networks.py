"""Encoders that read published files, on tiny ones of the same layout."""

import math
import zipfile
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from tests.benchmarks.encoders import published
from tests.benchmarks.encoders.published import SIZES, place, small

from motionbeat._torchaudio import kaldi
from motionbeat.benchmarks.check_encoder import noise
from motionbeat.benchmarks.check_encoder import states as encode
from motionbeat.benchmarks.registry import ENCODERS
from motionbeat.errors import MotionBeatError


def needs(name):
    packages = ENCODERS.get(name).packages
    lacking = [package for package in packages if find_spec(package) is None]
    return pytest.param(name, marks=pytest.mark.skipif(bool(lacking), reason=f"needs {lacking}"))


NAMES = [needs(name) for name in SIZES]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder where weights are looked for."""
    monkeypatch.setenv("MOTIONBEAT_DATA", str(tmp_path))
    monkeypatch.setenv("MOTIONBEAT_HUB", str(tmp_path / "hub"))
    return tmp_path


@pytest.fixture
def tiny(folder):
    """Makes tiny encoders, whose files are there."""

    def make(name):
        place(folder, name)
        return small(name)()

    return make


PUBLISHED = {  # of some tensors, the first and last among them
    "vggish": {"features.0.weight": (64, 1, 3, 3), "features.13.bias": (512,),
               "embeddings.0.weight": (4096, 12288), "embeddings.4.weight": (128, 4096)},
    "panns-cnn14": {"bn0.running_var": (64,), "conv_block1.conv1.weight": (64, 1, 3, 3),
                    "conv_block6.conv2.weight": (2048, 2048, 3, 3)},
    "clmr": {"0.0.weight": (128, 1, 3), "3.1.weight": (256,), "10.0.weight": (512, 512, 3)},
    "openl3": {"batch_normalization_1.weight": (1,), "conv2d_7.weight": (512, 256, 3, 3),
               "batch_normalization_8.bias": (512,), "audio_embedding_layer.bias": (512,)},
    "wav2clip": {"audio_encoder.conv1.weight": (64, 1, 7, 7),
                 "audio_encoder.layer4.0.downsample.0.weight": (512, 256, 1, 1),
                 "audio_transform.sequential.3.weight": (512, 512)},
    "dasheng-base": {"init_bn.1.weight": (64,), "patch_embed.proj.weight": (768, 1, 64, 4),
                     "time_pos_embed": (1, 768, 1, 252), "blocks.11.attn.qkv.bias": (2304,),
                     "blocks.11.mlp.fc2.weight": (768, 3072), "norm.bias": (768,)},
    "musicfm-msd": {"conv.conv.1.conv3.weight": (512, 512, 3, 3),
                    "conv.linear.weight": (1024, 16384),
                    "conformer.layers.11.self_attn.linear_q.weight": (1024, 1024),
                    "conformer.layers.11.conv_module.depthwise_conv.weight": (1024, 1, 31),
                    "conformer.layer_norm.bias": (1024,)},
    "imagebind-audio": {"pos_embed": (1, 229, 768),
                        "rgbt_stem.proj.weight": (768, 1, 16, 16),
                        "blocks.11.attn.bias_k": (1, 1, 768),
                        "blocks.11.mlp.fc1.weight": (3072, 768)},
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_networks_have_the_published_names_and_sizes(name):
    kind = ENCODERS.get(name)
    with torch.device("meta"):
        network = kind.build(*kind.sizes)
    assert kind.card.parameters == sum(weights.numel() for weights in network.parameters())
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    expected = PUBLISHED.get(name, {})
    assert {key: shapes.get(key) for key in expected} == expected


REACH = {  # seconds to either side of a frame in which a click shows in it
    "vggish": 0.4875,  # half a patch
    "panns-cnn14": 1.44,  # see its context
    "clmr": 59_049 / 2 / 22_050,  # half an excerpt
    "openl3": 0.5,  # half a window
    "wav2clip": 0.5,
}


@pytest.mark.parametrize("name", NAMES)
def test_clicks_light_up_their_frames(name, tiny):
    """Frames that see a click lie evenly around it, or the embedded spectrum is brightest there."""
    encoder = tiny(name)
    rate, length = encoder.card.frame_rate, 4 if name in ("openl3", "wav2clip") else 60  # s
    silence = torch.zeros(1, length * encoder.card.sample_rate)
    quiet = encode(encoder, silence)
    assert quiet.shape[2] == math.floor(length * rate) + 1
    for part in (0.0, 0.3767, 0.4165, 0.4168, 0.98):
        clicking = silence.clone()
        clicking[0, round(part * length * encoder.card.sample_rate)] = 1.0
        answer = (encode(encoder, clicking) - quiet)[0, 0].norm(dim=-1)
        at = part * length * rate
        if name not in REACH:
            assert abs(answer.argmax() - at) <= 1
            continue
        lit, reach = answer.gt(1e-6 * answer.max()).nonzero(), REACH[name] * rate
        assert abs(lit.min() - max(at - reach, 0)) <= 1
        assert abs(lit.max() - min(at + reach, len(answer) - 1)) <= 1


@pytest.mark.parametrize("name", [needs(name) for name in REACH])
def test_piece_equals_whole_away_from_its_margins(name, tiny):
    encoder = tiny(name)
    hop = round(encoder.card.sample_rate / encoder.card.frame_rate)
    margin = math.ceil(encoder.context * encoder.card.frame_rate)
    first, last = margin + 3, margin + 8
    waveform = noise(encoder, 5.0)
    piece = encode(encoder, waveform[:, (first - margin) * hop : (last + margin) * hop])
    whole = encode(encoder, waveform)[:, :, first:last]
    kept = piece[:, :, margin : margin + last - first]
    torch.testing.assert_close(kept, whole, rtol=1e-4, atol=1e-4)


def test_vggish_sees_the_published_spectrum(tiny):
    """Magnitudes, mel bands of HTK's kind and the logarithm, computed by the definition."""
    encoder = tiny("vggish")
    waveform = noise(encoder, 0.1)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    mel = 1127 * np.log(1 + np.linspace(0, 8000, 257) / 700)
    edges = np.linspace(*(1127 * np.log(1 + np.array([125, 7500]) / 700)), 66)
    filters = np.zeros((257, 64))
    for band, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        rising, falling = (mel - low) / (middle - low), (high - mel) / (high - middle)
        filters[:, band] = np.maximum(0, np.minimum(rising, falling))
    starts = range(0, 1600 - 400 + 1, 160)
    frames = np.stack([waveform[0].double().numpy()[start : start + 400] for start in starts])
    expected = np.log(np.abs(np.fft.rfft(frames * window, 512)) @ filters + 0.01)
    np.testing.assert_allclose(encoder.log_mel(waveform)[0], expected, rtol=0, atol=1e-3)


@pytest.mark.filterwarnings("ignore:Empty filters detected")  # as in the published network
def test_openl3_sees_the_published_spectrum(tiny):
    """Kapre's: of power, then the root, then ten times the logarithm, the loudest at 0."""
    librosa = pytest.importorskip("librosa")
    encoder = tiny("openl3")
    waveform = noise(encoder, 1.0)
    padded = np.pad(waveform[0].numpy(), 982)
    mel = librosa.feature.melspectrogram(
        y=padded, sr=48_000, n_fft=2048, hop_length=242, n_mels=256, htk=True, norm=1, center=False
    )
    expected = 10 * np.log10(np.maximum(np.sqrt(mel), 1e-10))
    expected = np.maximum(expected - expected.max(), -80)
    found = encoder.log_mel(waveform)[0]
    assert found.shape == (256, 199)
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.01)


def test_ms_clap_sees_the_bands_of_its_file(tiny):
    librosa = pytest.importorskip("librosa")
    encoder = tiny("ms-clap-2023")
    waveform = noise(encoder, 7.0)
    spectrum = librosa.stft(waveform[0].numpy(), n_fft=1024, hop_length=320, pad_mode="reflect")
    bands = published.tensors("ms-clap-2023")["audio_encoder.base.htsat.logmel_extractor.melW"]
    expected = librosa.power_to_db(np.abs(spectrum.T) ** 2 @ bands.numpy(), ref=1.0, top_db=None)
    np.testing.assert_allclose(encoder.mel(waveform)[0].T, expected, rtol=0, atol=0.01)


def test_imagebind_hears_clips_like_the_published_preprocessing(tiny):
    """Two clips of 2 s, the second filled up by zeros before scaling, from half a patch on."""
    encoder = tiny("imagebind-audio")
    waveform = noise(encoder, 3.0)
    padded, expected = torch.nn.functional.pad(waveform, (1400, 0)), []
    for start in (0, 30_400):
        spectra = kaldi.fbank(
            padded[:, start : start + 32_000],
            sample_frequency=16_000,
            htk_compat=True,
            window_type="hanning",
            num_mel_bins=128,
        )
        clip = torch.zeros(204, 128)
        clip[: len(spectra)] = spectra
        states = encoder.states(((clip + 4.268) / 9.138)[None, :196])
        expected.append(states.unflatten(2, (12, 19)).mean(dim=2))
    found = encode(encoder, waveform)
    assert found.shape[2] == 31
    torch.testing.assert_close(found, torch.cat(expected, 2)[:, :, :31], rtol=1e-3, atol=1e-3)


def test_a_file_of_the_older_kind_is_read(folder, tiny):
    """One that is no archive cannot be mapped, and is read whole."""
    expected = tiny("imagebind-audio")
    path = folder / "weights" / "imagebind_huge.pth"
    contents = published.contents("imagebind-audio")
    torch.save(contents, path, _use_new_zipfile_serialization=False)
    found = small("imagebind-audio")().network.state_dict()
    assert all(
        torch.equal(found[key], value) for key, value in expected.network.state_dict().items()
    )


@pytest.mark.parametrize("name", NAMES)
def test_absent_file_is_named_with_what_to_do(name, folder):
    kind = ENCODERS.get(name)
    file = kind.files[0] if hasattr(kind, "repo") else kind.file
    assert file in kind.unavailable()
    with pytest.raises(MotionBeatError, match=f"encoder {name}: .*put ") as caught:
        small(name)()
    assert "\n" not in str(caught.value)


def test_weights_in_the_current_folder_are_not_taken(monkeypatch, folder):
    monkeypatch.chdir(place(folder, "vggish").parent.parent)
    assert ENCODERS.get("vggish").unavailable() is None
    monkeypatch.setenv("MOTIONBEAT_DATA", "")
    assert "into DIR/weights, give --data DIR" in ENCODERS.get("vggish").unavailable()


@pytest.mark.parametrize("fault", ["Missing", "Unexpected", "size mismatch"])
@pytest.mark.parametrize("name", ["clmr", "ms-clap-2023", "muq", "panns-cnn14"])
def test_weights_of_another_network_are_refused(name, fault, folder):
    contents = published.contents(name)
    tensors = next((contents[key] for key in ("state_dict", "model") if key in contents), contents)
    first = next(key for key in tensors if key.endswith(".weight"))
    if fault == "Missing":
        del tensors[first]
    elif fault == "size mismatch":
        tensors[first] = tensors[first][..., None].clone()
    else:
        tensors[first + "_too"] = torch.zeros(1)
    place(folder, name, contents)
    with pytest.raises(MotionBeatError, match=f"weights of another network .{fault}") as caught:
        small(name)()
    assert "\n" not in str(caught.value)


def test_clmr_reads_a_checkpoint_of_lightning(folder, tiny):
    plain = tiny("clmr").network.state_dict()
    longer = {f"model.{key}": tensor for key, tensor in published.tensors("clmr").items()}
    place(folder, "clmr", {"epoch": 1, "state_dict": longer})
    found = small("clmr")().network.state_dict()
    assert all(torch.equal(found[key], tensor) for key, tensor in plain.items())


def test_cnn14_reads_integers_written_by_old_numpy(folder):
    """The published file holds some beside its weights, under a name that numpy has given up."""
    path = place(folder, "panns-cnn14")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content.replace(b"numpy._core.", b"numpy.core."))
    small("panns-cnn14")()


def test_transformers_standardise_by_the_published_statistics(folder):
    place(folder, "musicfm-msd").with_name("msd_stats.json").write_text("{}")
    with pytest.raises(MotionBeatError, match=r"msd_stats\.json: no mean and deviation"):
        small("musicfm-msd")()
