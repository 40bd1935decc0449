"""Encoders that read published files, on tiny ones of the same layout."""

import math
import zipfile

import numpy as np
import pytest
import torch
from tests.benchmarks.encoders import published
from tests.benchmarks.encoders.published import PUBLISHED, place

from motionbeat._torchaudio import functional as audio
from motionbeat.benchmarks.encoders.pretrained import (
    clmr,
    dasheng,
    imagebind,
    ms_clap,
    musicfm,
    openl3,
    panns,
    vggish,
    wav2clip,
)
from motionbeat.benchmarks.encoders.pretrained.weight_files import hollow
from motionbeat.errors import MotionBeatError

NETWORKS = {
    "vggish": (vggish.VggishNetwork, 64, 4096, 128),
    "panns-cnn14": (panns.Cnn14, 64),
    "clmr": (clmr.SampleCnn, 128),
    "musicfm-msd": (musicfm.MusicFmNetwork, 512, 1024, 12, 16),
    "muq": (musicfm.MusicFmNetwork, 512, 1024, 12, 16),
    "dasheng-base": (dasheng.DashengNetwork, 768, 12, 12),
    "openl3": (openl3.OpenL3Network, 64),
    "wav2clip": (wav2clip.Wav2ClipNetwork, 64),
    "ms-clap-2023": (ms_clap.network, 96),
    "imagebind-audio": (imagebind.ImageBindNetwork, 768, 12, 12),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    for name in PUBLISHED:
        place(folder, name)
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.setenv("MOTIONBEAT_DATA", str(folder))
    monkeypatch.setenv("MOTIONBEAT_HUB", str(folder / "hub"))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTIONBEAT_DATA", str(tmp_path))
    monkeypatch.setenv("MOTIONBEAT_HUB", str(tmp_path / "hub"))
    return tmp_path


def noise(encoder, seconds, batch=1):
    samples = round(seconds * encoder.card.sample_rate)
    return torch.rand(batch, samples, generator=torch.Generator().manual_seed(3)) - 0.5


def encode(encoder, waveform):
    with torch.inference_mode():
        return encoder(waveform)


@pytest.mark.parametrize("name", PUBLISHED)
def test_card_counts_the_parameters_of_the_published_size(name):
    network = hollow(*NETWORKS[name])
    assert PUBLISHED[name].kind.card.parameters == sum(
        weight.numel() for weight in network.parameters()
    )


# Seconds to either side of a frame in which a click shows in it; None where it may show anywhere.
REACH = {
    "vggish": 0.4875,  # half a patch
    "panns-cnn14": 1.44,  # see its context
    "clmr": 59_049 / 2 / 22_050,  # half an excerpt
    "musicfm-msd": None,
    "muq": None,
    "dasheng-base": None,
    "openl3": 0.5,  # half a window
    "wav2clip": 0.5,
    "ms-clap-2023": None,
    "imagebind-audio": None,
}


@pytest.mark.parametrize("part", [0.0, 0.3767, 0.98])
@pytest.mark.parametrize("name", PUBLISHED)
def test_click_lights_up_its_frames(name, part, here):
    """Frames that see a click lie evenly around it, or the embedded spectrum is brightest there."""
    encoder = PUBLISHED[name].small()
    length = 8 if name == "openl3" else 60  # s; it sees each moment ten times
    seconds = part * length
    waveform = torch.zeros(1, length * encoder.card.sample_rate)
    silence = encode(encoder, waveform)
    waveform[0, round(seconds * encoder.card.sample_rate)] = 1.0
    answer = (encode(encoder, waveform) - silence)[0, 0].norm(dim=-1)
    at = seconds * encoder.card.frame_rate
    if REACH[name] is None:
        assert abs(answer.argmax() - at) <= 1
        return
    lit = answer.gt(1e-6 * answer.max()).nonzero()
    reach = REACH[name] * encoder.card.frame_rate
    assert abs(lit.min() - max(at - reach, 0)) <= 1
    assert abs(lit.max() - min(at + reach, len(answer) - 1)) <= 1


@pytest.mark.parametrize("name", [name for name, reach in REACH.items() if reach])
def test_piece_equals_whole_away_from_its_margins(name, here):
    encoder = PUBLISHED[name].small()
    hop = round(encoder.card.sample_rate / encoder.card.frame_rate)
    margin = math.ceil(encoder.context * encoder.card.frame_rate)
    first, last = margin + 3, margin + 8
    waveform = noise(encoder, 8.0)
    piece = encode(encoder, waveform[:, (first - margin) * hop : (last + margin) * hop])
    whole = encode(encoder, waveform)[:, :, first:last]
    kept = piece[:, :, margin : margin + last - first]
    torch.testing.assert_close(kept, whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [name for name, reach in REACH.items() if not reach])
def test_long_input_has_a_frame_for_each_hop_in_order(name, here):
    """A click late in a minute shows at its time in the embedded spectrum."""
    encoder = PUBLISHED[name].small()
    waveform = torch.zeros(1, 60 * encoder.card.sample_rate)
    silence = encode(encoder, waveform)
    assert silence.shape[2] == math.floor(60 * encoder.card.frame_rate) + 1
    for seconds in (9.0, 24.99, 25.01, 47.3, 59.9):
        clicked = waveform.clone()
        clicked[0, round(seconds * encoder.card.sample_rate)] = 1.0
        answer = (encode(encoder, clicked) - silence)[0, 0].norm(dim=-1)
        assert abs(answer.argmax() - seconds * encoder.card.frame_rate) <= 1


def test_vggish_sees_the_published_spectrum(here):
    """Magnitudes, mel bands of HTK's kind and the logarithm, computed by the definition."""
    encoder = PUBLISHED["vggish"].small()
    waveform = noise(encoder, 0.1)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    mel = 1127 * np.log(1 + np.linspace(0, 8000, 257) / 700)
    edges = np.linspace(*(1127 * np.log(1 + np.array([125, 7500]) / 700)), 66)
    filters = np.zeros((257, 64))
    for band, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        rising, falling = (mel - low) / (middle - low), (high - mel) / (high - middle)
        filters[:, band] = np.maximum(0, np.minimum(rising, falling))
    filters[0] = 0
    starts = range(0, 1600 - 400 + 1, 160)
    frames = np.stack([waveform[0].double().numpy()[start : start + 400] for start in starts])
    expected = np.log(np.abs(np.fft.rfft(frames * window, 512)) @ filters + 0.01)
    found = encoder.log_mel(waveform)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_cnn14_sees_the_published_spectrum(here):
    librosa = pytest.importorskip("librosa")
    encoder = PUBLISHED["panns-cnn14"].small()
    waveform = noise(encoder, 1.0)
    mel = librosa.feature.melspectrogram(
        y=waveform[0].numpy(), sr=32_000, n_fft=1024, hop_length=320, n_mels=64, fmin=50,
        fmax=14_000, pad_mode="constant",
    )  # fmt: skip
    expected = librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=None).T
    np.testing.assert_allclose(encoder.mel(waveform)[0], expected, rtol=0, atol=0.01)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("musicfm-msd", {"sample_rate": 24_000, "n_fft": 2048, "hop_length": 240, "n_mels": 128}),
        (
            "dasheng-base",
            {"sample_rate": 16_000, "n_fft": 512, "hop_length": 160, "n_mels": 64, "f_max": 8000},
        ),
    ],
)
def test_transformers_see_the_published_spectrum(name, settings, here):
    transforms = pytest.importorskip("torchaudio").transforms
    encoder = PUBLISHED[name].small()
    waveform = noise(encoder, 1.0)
    mel = transforms.MelSpectrogram(**settings, pad_mode="constant")(waveform)
    expected = transforms.AmplitudeToDB()(mel).mT
    torch.testing.assert_close(encoder.mel(waveform), expected, rtol=0, atol=0.01)


@pytest.mark.filterwarnings("ignore:Empty filters detected")  # as in the published network
def test_openl3_sees_the_published_spectrum(here):
    """Kapre's: of power, then the root, then ten times the logarithm, the loudest at 0."""
    librosa = pytest.importorskip("librosa")
    encoder = PUBLISHED["openl3"].small()
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


def test_wav2clip_sees_the_published_spectrum(here):
    transforms = pytest.importorskip("torchaudio").transforms
    encoder = PUBLISHED["wav2clip"].small()
    waveform = noise(encoder, 1.0)
    logarithm = (transforms.Spectrogram(n_fft=512, hop_length=353)(waveform) + 1e-7).log()
    expected = (logarithm - logarithm.mean()) / (logarithm.std() + 1e-9)
    torch.testing.assert_close(encoder.log_spectra(waveform), expected, rtol=0, atol=1e-3)


def test_ms_clap_sees_the_published_spectrum(here):
    """With the bands that the file holds, which the published code loads too."""
    librosa = pytest.importorskip("librosa")
    encoder = PUBLISHED["ms-clap-2023"].small()
    waveform = noise(encoder, 7.0)
    spectrum = librosa.stft(waveform[0].numpy(), n_fft=1024, hop_length=320, pad_mode="reflect")
    bands = published.ms_clap()["model"]["audio_encoder.base.htsat.logmel_extractor.melW"]
    expected = librosa.power_to_db(np.abs(spectrum.T) ** 2 @ bands.numpy(), ref=1.0, top_db=None)
    assert expected.shape == (965, 64)
    np.testing.assert_allclose(encoder._log_mel(waveform)[0], expected, rtol=0, atol=0.01)


def test_ms_clap_tells_queries_keys_and_values_apart(here):
    tensors = published.ms_clap()["model"]
    attention = PUBLISHED["ms-clap-2023"].small().model.audio_encoder.layers[2].blocks[5].attention
    kinds = (attention.self.query, attention.self.key, attention.self.value)
    for part in ("weight", "bias"):
        joint = torch.cat([getattr(kind, part) for kind in kinds])
        place = f"audio_encoder.base.htsat.layers.2.blocks.5.attn.qkv.{part}"
        assert torch.equal(joint, tensors[place])


def test_ms_clap_is_refused_without_its_mel_bands(elsewhere):
    contents = published.ms_clap()
    del contents["model"]["audio_encoder.base.htsat.logmel_extractor.melW"]
    place(elsewhere, "ms-clap-2023", contents)
    with pytest.raises(MotionBeatError, match="lacks melW"):
        PUBLISHED["ms-clap-2023"].small()


def test_imagebind_hears_clips_like_the_published_preprocessing(here):
    """Two clips of 2 s, the second filled up by zeros before scaling, from half a patch on."""
    encoder = PUBLISHED["imagebind-audio"].small()
    assert audio is not None  # puts torchaudio right where its extension does not load
    from torchaudio.compliance import kaldi

    waveform = noise(encoder, 3.0)
    expected = []
    padded = torch.nn.functional.pad(waveform, (1400, 0))
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
        states = encode(encoder.network, ((clip + 4.268) / 9.138)[None, :196])
        expected.append(states.unflatten(2, (12, 19)).mean(dim=2))
    found = encode(encoder, waveform)
    assert found.shape[2] == 31
    torch.testing.assert_close(found, torch.cat(expected, 2)[:, :, :31], rtol=1e-3, atol=1e-3)


def test_imagebind_leaves_other_senses_on_disk(elsewhere, monkeypatch):
    """The file is mapped, and what is taken of it is a copy."""
    asked, load = [], torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **b: asked.append(b["mmap"]) or load(*a, **b))
    path = place(elsewhere, "imagebind-audio")
    encoder = PUBLISHED["imagebind-audio"].small()
    assert asked == [True]
    before = encode(encoder, noise(encoder, 1.0))
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(encode(encoder, noise(encoder, 1.0)), before)


def test_imagebind_reads_a_file_of_the_older_kind(elsewhere):
    """One that is no archive cannot be mapped, and is read whole."""
    small = PUBLISHED["imagebind-audio"].small
    path = place(elsewhere, "imagebind-audio")
    expected = encode(small(), noise(small, 1.0))
    torch.save(published.imagebind(), path, _use_new_zipfile_serialization=False)
    assert torch.equal(encode(small(), noise(small, 1.0)), expected)


@pytest.mark.parametrize("name", PUBLISHED)
def test_absent_file_is_named_with_what_to_do(name, elsewhere):
    kind, small, _ = PUBLISHED[name]
    file = kind.files[0] if hasattr(kind, "repo") else kind.file
    assert file in kind.unavailable()
    with pytest.raises(MotionBeatError, match=file) as caught:
        small()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder", [None, ""])
def test_weights_in_the_current_folder_are_not_taken(monkeypatch, tmp_path, folder):
    monkeypatch.chdir(place(tmp_path, "vggish").parent.parent)
    monkeypatch.setenv("MOTIONBEAT_DATA", str(tmp_path))
    assert vggish.Vggish.unavailable() is None
    if folder is None:
        monkeypatch.delenv("MOTIONBEAT_DATA")
    else:
        monkeypatch.setenv("MOTIONBEAT_DATA", folder)
    assert "into DIR/weights and give --data DIR" in vggish.Vggish.unavailable()
    with pytest.raises(MotionBeatError, match="encoder vggish: weights not found; put") as caught:
        PUBLISHED["vggish"].small()
    assert "\n" not in str(caught.value)


def tensors_of(contents):
    return next((contents[key] for key in ("state_dict", "model") if key in contents), contents)


@pytest.mark.parametrize("fault", ["lacks", "holds an unknown", "instead of"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_of_another_network_are_refused(name, fault, elsewhere):
    contents = PUBLISHED[name].make()
    tensors = tensors_of(contents)
    unused = ("fc", "logmel", "spectrogram", "projector", "model.linear", "front_end")
    first = next(key for key in tensors if key.endswith(".weight") and not key.startswith(unused))
    if fault == "lacks":
        del tensors[first]
    elif fault == "instead of":
        tensors[first] = tensors[first][..., None].clone()
    else:
        tensors[first + "_too"] = torch.zeros(1)
    place(elsewhere, name, contents)
    with pytest.raises(MotionBeatError, match=fault) as caught:
        PUBLISHED[name].small()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", PUBLISHED)
def test_damaged_file_is_refused(name, elsewhere):
    path = place(elsewhere, name)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(MotionBeatError, match="damaged"):
        PUBLISHED[name].small()


def test_clmr_reads_a_checkpoint_of_lightning(elsewhere):
    small = PUBLISHED["clmr"].small
    place(elsewhere, "clmr")
    plain = encode(small(), noise(small, 1.0))
    place(elsewhere, "clmr", published.clmr(lightning=True))
    assert torch.equal(encode(small(), noise(small, 1.0)), plain)


def test_cnn14_reads_integers_written_by_old_numpy(elsewhere):
    """The published file holds some beside its weights, under a name that numpy has given up."""
    path = place(elsewhere, "panns-cnn14")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content.replace(b"numpy._core.", b"numpy.core."))
    PUBLISHED["panns-cnn14"].small()


def test_transformers_standardise_by_the_published_statistics(elsewhere):
    place(elsewhere, "musicfm-msd").with_name("msd_stats.json").write_text("{}")
    with pytest.raises(MotionBeatError, match=r"no mean and deviation .* msd_stats\.json"):
        PUBLISHED["musicfm-msd"].small()
