"""Audio loading: decode files to float32 with libsndfile or ffmpeg, and resample them.

libsndfile reads files whose header states their length (WAV, AIFF, AU, CAF, most FLAC) and Ogg with
a single stream. ffmpeg reads all else, because libsndfile guesses the length of an MP3 without a
Xing header and reads only the first part of chained Ogg or joined MP3.
"""

import mmap
import re
import struct
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Literal, NamedTuple

import imageio_ffmpeg
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from motionbeat.errors import MotionBeatError

Waveform = NDArray[np.float32]
Channels = Literal[1, 2]

_BLOCK_FRAMES = 1 << 20
_RATES = (1_000, 768_000)  # Hz
_HEADERS_WITH_LENGTH = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b".snd", b"caff", b"fLaC")
_UNKNOWN_FRAMES = 1 << 62  # libsndfile's value for a FLAC that does not state its length
_FORMATS = (  # of ffmpeg; no playlists, because they open other files and addresses
    "aac,ac3,aiff,amr,ape,asf,au,caf,dsf,eac3,flac,matroska,mov,mp3,mpc,mpc8,ogg,tta,w64,wav,wv"
)
_PADDING = 0.25  # s


class AudioError(MotionBeatError):
    """A file that cannot be used as audio; the message has its name and the remedy."""


class _Decoded(NamedTuple):
    samples: int
    sample_rate: int
    stated: float  # seconds, according to the header; 0 if it states none
    padding: float = 0.0  # seconds of these that the decoder may leave out


def load_audio(
    path: str | Path, channels: Channels = 1, sample_rate: int | None = None
) -> tuple[Waveform, int]:
    """Decode an audio file, or the first audio stream of a video.

    The file is read and resampled block by block, so the peak memory is that of the result, which
    equals what :func:`resample` makes of the whole. Truncation is detected if the header states the
    length. However, a truncated WAV or Ogg file, or a truncated MP3 without a Xing header, is read
    as a shorter recording.

    Args:
        path: audio file.
        channels: 1 for the mean of all channels; 2 for the first two, or a mono channel twice.
        sample_rate: in Hz, None for the file's own.

    Returns:
        Waveform of shape (samples,) or (samples, 2), float32 in [-1, 1], and its sample rate in Hz.

    Raises:
        AudioError: the file is missing, unreadable, truncated or empty, contains NaN or infinity,
            or states an impossible sample rate.
    """
    samples = bytearray()  # which grows in place, where joining blocks would double the memory

    def gather(block: Waveform) -> None:
        samples.extend(block.tobytes())

    own_rate = decode(path, {(sample_rate, channels): gather})
    waveform: Waveform = np.frombuffer(samples, np.float32)
    return waveform if channels == 1 else waveform.reshape(-1, 2), sample_rate or own_rate


def decode(
    path: str | Path, takers: Mapping[tuple[int | None, Channels], Callable[[Waveform], None]]
) -> int:
    """Decode a file once, block by block, for several sample rates and numbers of channels.

    Args:
        path: audio file.
        takers: by sample rate in Hz, None for the file's own, and channels: what is given the
            consecutive blocks (samples,) or (samples, 2), which a later error may cut short.

    Returns:
        The file's own sample rate in Hz.

    Raises:
        AudioError: as by :func:`load_audio`.
    """
    path = Path(path)
    resamplers: list[_Resampler] = []

    def take(block: NDArray[np.floating], rate: int) -> None:
        if not resamplers:
            resamplers.extend(_Resampler(rate, *kind, one) for kind, one in takers.items())
        mixed = {channels: _mixed(block, channels) for _, channels in takers}
        for one in mixed.values():
            if not np.isfinite([one.min(), one.max()]).all():  # no copy of its size
                raise AudioError(f"{path}: contains NaN or infinite samples; export the file again")
        for resampler in resamplers:
            resampler.push(mixed[resampler.channels])

    audio = (_read if _is_trusted(path) else _decode)(path, take)
    seconds = audio.samples / audio.sample_rate
    if not seconds:
        raise AudioError(f"{path}: holds no audio samples; restore the file")
    if seconds < audio.stated - audio.padding:
        raise AudioError(
            f"{path}: truncated, only {seconds:.2f} of {audio.stated:.2f} s could be read; "
            "restore the file"
        )
    for resampler in resamplers:
        if not resampler.finish():
            raise _nothing_left(f"{path}: ", audio.samples, audio.sample_rate, resampler.target)
    return audio.sample_rate


class _Resampler:
    """Resamples blocks that follow each other, as :func:`resample` does the whole."""

    def __init__(
        self, source: int, target: int | None, channels: Channels, taker: Callable[[Waveform], None]
    ) -> None:
        self.target = target or source
        self.channels = channels
        self.taker = taker
        self.given = 0
        self.stream = None
        if self.target != source:
            self.stream = soxr.ResampleStream(
                source, self.target, channels, dtype="float32", quality="HQ"
            )

    def push(self, block: Waveform, last: bool = False) -> None:
        """Hand on what a block gives; the last one may be empty."""
        if self.stream is not None:
            block = self.stream.resample_chunk(block, last=last)
        self.given += len(block)
        if len(block):
            self.taker(block)

    def finish(self) -> int:
        """Hand on what is left, and say how many samples were given."""
        if self.stream is not None:
            shape = (0,) if self.channels == 1 else (0, 2)
            self.push(np.zeros(shape, np.float32), last=True)
        return self.given


def audio_duration(path: str | Path) -> float:
    """Duration of a file in seconds, to within 0.05 s, without decoding it.

    Raises:
        AudioError: the file is missing, unreadable or empty, or states an impossible sample rate.
    """
    path = Path(path)
    if _is_trusted(path):
        with soundfile.SoundFile(path) as file:
            seconds = float(file.frames / file.samplerate)
    else:
        copied = subprocess.run(_ffmpeg(path, "-c", "copy", "-f", "null"), capture_output=True)
        log = copied.stderr.decode(errors="replace")
        times = re.findall(r"time=(\d+:\d+:[\d.]+)", log)
        if not times:
            raise _unreadable(path, log)
        seconds = _seconds(times[-1])
    if not seconds:
        raise AudioError(f"{path}: holds no audio samples; restore the file")
    return seconds


def resample(waveform: Waveform, source_rate: int, target_rate: int) -> Waveform:
    """Resample (samples,) or (samples, 2) between two rates in Hz (soxr, high quality).

    Raises:
        AudioError: the audio is so short that no sample is left.
    """
    if source_rate == target_rate:
        return waveform
    resampled = soxr.resample(waveform, source_rate, target_rate, quality="HQ")
    if len(waveform) and not len(resampled):
        raise _nothing_left("", len(waveform), source_rate, target_rate)
    return np.asarray(resampled, np.float32)


def _nothing_left(place: str, samples: int, source_rate: int, target_rate: int) -> AudioError:
    return AudioError(
        f"{place}{samples} samples at {source_rate} Hz leave none at {target_rate} Hz; drop the "
        "file"
    )


def _is_trusted(path: Path) -> bool:
    """Whether libsndfile can be trusted to read the whole of a file."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            if magic == b"OggS":
                if _is_chained(file):
                    return False
            elif magic not in _HEADERS_WITH_LENGTH:
                return False
    except OSError as error:
        reason = "no such audio file" if isinstance(error, FileNotFoundError) else error.strerror
        raise AudioError(f"{path}: {reason}; check the dataset's folder") from error
    try:
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, TypeError):  # TypeError for files named .raw
        return False
    _check_rate(path, info.samplerate)
    return "MPEG" not in info.subtype and info.frames < _UNKNOWN_FRAMES


def _is_chained(file: IO[bytes]) -> bool:
    """Whether an Ogg stream begins after data pages of another one (RFC 3533, section 4)."""
    begun = False
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for page in re.finditer(rb"OggS\0([\0-\7])", content):
            first_of_stream = page[1][0] & 2
            if begun and first_of_stream:
                return True
            begun = begun or not first_of_stream
    return False


def _read(path: Path, take: Callable[[NDArray[np.floating], int], None]) -> _Decoded:
    """Read a whole file with libsndfile; ``take`` is given blocks (samples, any) at a rate."""
    samples = 0
    try:
        with soundfile.SoundFile(path) as file:
            rate, promised = file.samplerate, file.frames
            # some encoders of Ogg count samples before the start, or beyond the end, of the sound
            padding = _PADDING if file.format == "OGG" else 0.0
            while len(block := file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
                take(block, rate)
                samples += len(block)
    except soundfile.LibsndfileError as error:
        raise _unreadable(path, error.error_string) from error
    return _Decoded(samples, rate, promised / rate, padding)


def _decode(path: Path, take: Callable[[NDArray[np.floating], int], None]) -> _Decoded:
    """Decode a whole file with ffmpeg, likewise."""
    samples = 0
    with tempfile.TemporaryFile() as log:
        command = _ffmpeg(path, "-c:a", "pcm_f32be", "-f", "au")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as process:
            assert process.stdout is not None
            try:
                rate, width = _au_header(process.stdout) or (0, 0)
                if rate:
                    _check_rate(path, rate)
                while rate and (block := process.stdout.read(4 * width * _BLOCK_FRAMES)):
                    received = np.frombuffer(block, ">f4").reshape(-1, width)
                    take(received, rate)
                    samples += len(received)
            finally:
                process.kill()
        log.seek(0)
        said = log.read().decode(errors="replace")
    if not rate:
        raise _unreadable(path, said)
    stated = re.search(r"^ *Duration: (\d+:\d+:[\d.]+)", said, re.MULTILINE)
    known = stated and "Estimating duration" not in said
    seconds = _seconds(stated[1]) if stated and known else 0.0
    return _Decoded(samples, rate, seconds, _PADDING)


def _mixed(samples: NDArray[np.floating], channels: Channels) -> Waveform:
    """Mix samples (n, any) to (n,) or (n, 2)."""
    if channels == 1:
        return np.asarray(samples.mean(axis=1, dtype=np.float32))
    pair = samples if samples.shape[1] > 1 else samples.repeat(2, axis=1)
    return np.asarray(pair[:, :2], np.float32)


def _au_header(stream: IO[bytes]) -> tuple[int, int] | None:
    """Read the header of an AU file: sample rate and number of channels; None if it is cut off."""
    header = stream.read(24)
    if len(header) < 24:
        return None
    _, offset, _, _, rate, channels = struct.unpack(">4s5I", header)
    stream.read(offset - len(header))
    return rate, channels


def _ffmpeg(path: Path, *output: str) -> list[str]:
    """The command that reads the first audio stream of a file and writes to standard output."""
    return [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-threads", "1"),
        *("-protocol_whitelist", "file,pipe", "-format_whitelist", _FORMATS),
        *("-i", f"file:{path}", "-map", "0:a:0", *output, "-"),
    ]


def _seconds(clock: str) -> float:
    """Convert ``hours:minutes:seconds`` to seconds."""
    hours, minutes, seconds = clock.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def _check_rate(path: Path, rate: int) -> None:
    if not _RATES[0] <= rate <= _RATES[1]:
        raise AudioError(
            f"{path}: states a sample rate of {rate} Hz, which is not between {_RATES[0]} and "
            f"{_RATES[1]} Hz; restore the file"
        )


def _unreadable(path: Path, log: str) -> AudioError:
    """The error for a file that a decoder rejected, with the first reason in its log."""
    found = re.search(r"^\[[^]]*\] *(?!.*misdetection)(.+)$", log, re.MULTILINE)
    reason = (found[1] if found else log.strip().rpartition("\n")[2]).strip(" .")
    return AudioError(f"{path}: unreadable audio ({reason}); restore the file or convert it to WAV")
