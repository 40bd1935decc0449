"""Game music from look-alikes of its Debian packages, and free music from a folder."""

import io
import os
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path

import pytest
from tests.command import motionbeat
from tests.lookalikes import every, write_audio, write_text

from motionbeat.data_modules import FreeMusic, GameMusic
from motionbeat.data_modules.base import SPLITS, DatasetError, Licence, check_splits
from motionbeat.data_modules.published import debian, game_music
from motionbeat.data_modules.published.game_music import Piece, pieces

SMALL = (
    Piece("flare-game", "usr/share/flare/boss.ogg", 1.0, "CC-BY-SA-3.0", "Ann"),
    Piece("tower-data", "usr/share/tower/all.pk3/music/a b.ogg", 1.5, "CC-BY-3.0", "Ben"),
    Piece("tower-data", "usr/share/tower/menu.ogg", 2.0, "public-domain", "Cem"),
)
DATA = os.environ.get("MOTIONBEAT_DATA")
needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb")


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Three short pieces, and no way to the network."""
    monkeypatch.setattr(game_music, "pieces", lambda: SMALL)
    monkeypatch.delenv("MOTIONBEAT_DATA", raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.fixture
def archive(tmp_path):
    """An archive of packages that ``apt-get`` reaches; what was asked of it is in its log."""
    for tool in ("dpkg-deb", "tar", "cp", "rm"):
        found = shutil.which(tool, path=os.defpath + ":/usr/bin:/bin")
        (tmp_path / "bin" / tool).symlink_to(str(found))
    folder = tmp_path / "archive"
    folder.mkdir()
    path = tmp_path / "bin" / "apt-get"
    path.write_text(
        f'#!/bin/sh\necho "$*" >> {folder}/log\n'
        f'cp {folder}/"$2"_1_all.deb . 2>/dev/null || '
        '{ echo "E: Unable to locate package" >&2; exit 100; }\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    members = {piece.name: sound(tmp_path, n, piece.seconds) for n, piece in enumerate(SMALL)}
    build(folder, "flare-game", {SMALL[0].path: members["boss.ogg"], "usr/share/other.ogg": b"1"})
    inner = {"music/a b.ogg": members["a b.ogg"], "../../evil": b"evil"}
    outside = {"usr/share/tower/all.pk3": zipped(inner), SMALL[2].path: members["menu.ogg"]}
    build(folder, "tower-data", outside)
    return folder


def sound(tmp_path: Path, seed: int, seconds: float) -> bytes:
    path = tmp_path / f"{seed}.ogg"
    write_audio(path, seed, seconds)
    return path.read_bytes()


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, content in members.items():
            made.writestr(name, content)
    return file.getvalue()


def build(archive: Path, package: str, files: dict[str, bytes]) -> None:
    """Build a package, in place of one that is there."""
    root = archive / package
    shutil.rmtree(root, ignore_errors=True)
    about = ["Version: 1", "Architecture: all", "Maintainer: T <t@e.org>", "Description: music"]
    write_text(root / "DEBIAN" / "control", [f"Package: {package}", *about])
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    (root / "usr/share/link.ogg").symlink_to("/etc/passwd")
    subprocess.run(
        ["/usr/bin/dpkg-deb", "--build", root, archive / f"{package}_1_all.deb"],
        check=True,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin"},
    )


def asked(archive: Path) -> list[str]:
    log = archive / "log"
    return log.read_text().splitlines() if log.is_file() else []


def made(tmp_path: Path, **options) -> GameMusic:
    return GameMusic(cache=tmp_path / "cache", **options)


def files(folder: Path) -> set[str]:
    """Files below a folder, but for locks and remembered durations."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {path for path in found if not path.endswith((".lock", ".json"))}


@needs_dpkg
def test_listed_files_alone_are_fetched_and_never_twice(tmp_path, archive):
    dataset = made(tmp_path)
    assert dataset.status() == "absent"
    dataset.prepare_data()
    expected = {"flare-game/boss.ogg", "tower-data/a b.ogg", "tower-data/menu.ogg"}
    assert files(dataset.folder) == expected  # no package, scratch, other file or link is left
    assert asked(archive) == ["download flare-game", "download tower-data"]
    found = every(dataset)
    assert found.keys() == expected
    check_splits([dataset.tracks(split) for split in SPLITS])
    assert {split: len(dataset.tracks(split)) for split in SPLITS} == {
        "train": 2, "validation": 1, "test": 0,
    }  # fmt: skip
    assert found["tower-data/a b.ogg"].get(Licence).name == "CC-BY-3.0"
    assert found["tower-data/a b.ogg"].duration == pytest.approx(1.5, abs=0.01)
    (dataset.folder / "tower-data/menu.ogg").unlink()
    made(tmp_path).prepare_data()
    assert asked(archive)[2:] == ["download tower-data"]


@needs_dpkg
def test_a_package_that_cannot_be_had_is_named_and_the_others_are_usable(tmp_path, archive):
    (archive / "flare-game_1_all.deb").unlink()
    with pytest.raises(DatasetError, match=r"cannot get flare-game: .*Unable to locate") as error:
        made(tmp_path).prepare_data()
    assert "\n" not in str(error.value)
    part = made(tmp_path, partial=True)
    part.prepare_data()
    assert every(part).keys() == {"tower-data/a b.ogg", "tower-data/menu.ogg"}


@needs_dpkg
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (zipped({"music/other.ogg": b"1"}), r"all.pk3 has no music/a b.ogg"),
        (b"no archive", r"a b.ogg in all.pk3 is unreadable \(File is not a zip file\)"),
        (zipped({"music/a b.ogg": b"1" * 5000}).replace(b"1" * 50, b"2" * 50), "Bad CRC-32"),
        (zipped({"music/a b.ogg": b"1" * 5000}), r"unreadable \(5000 bytes\)"),
    ],
)
def test_an_archive_in_a_package_is_read_with_care(tmp_path, archive, monkeypatch, content, said):
    if "bytes" in said:
        monkeypatch.setattr(game_music, "_LARGEST", 4999)
    build(archive, "tower-data", {"usr/share/tower/all.pk3": content, SMALL[2].path: b"1"})
    with pytest.raises(DatasetError, match=said) as error:
        made(tmp_path).prepare_data()
    assert "\n" not in str(error.value)
    assert files(tmp_path / "cache") == {"game_music/flare-game/boss.ogg"}


@needs_dpkg
def test_packages_with_other_files_are_refused(tmp_path, archive, monkeypatch):
    build(archive, "flare-game", {"usr/share/flare/boss2.ogg": b"1"})
    with pytest.raises(DatasetError, match=r"flare-game_1_all\.deb has no usr/share/flare/boss"):
        made(tmp_path).prepare_data()
    build(archive, "flare-game", {SMALL[0].path: sound(tmp_path, 1, 3.0)})
    with pytest.raises(DatasetError, match=r"boss\.ogg has 3\.0 s instead of 1\.0; delete it"):
        made(tmp_path).prepare_data()
    (tmp_path / "cache/game_music/flare-game/boss.ogg").unlink()
    monkeypatch.setattr(debian, "LARGEST", 100)
    with pytest.raises(DatasetError, match=r"flare-game cannot be unpacked .*boss\.ogg has \d+"):
        made(tmp_path).prepare_data()
    (archive / "flare-game_1_all.deb").write_bytes(b"no package")
    with pytest.raises(DatasetError, match=r"cannot get flare-game: dpkg-deb says: .*archive"):
        made(tmp_path).prepare_data()


def test_where_there_is_no_apt_get_it_is_said(tmp_path):
    with pytest.raises(DatasetError, match=r"no apt-get to fetch it.*run where apt-get reaches"):
        made(tmp_path).prepare_data()


def test_the_list_names_free_music_alone_once_each():
    listed = pieces()
    assert len({f"{piece.package}/{piece.name}" for piece in listed}) == len(listed)
    assert {piece.licence for piece in listed} <= {
        "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "public-domain",
    }  # fmt: skip
    assert all(piece.credit and piece.seconds > 30 for piece in listed)
    assert all(".." not in piece.path and not piece.path.startswith("/") for piece in listed)
    hours = dict.fromkeys((True, False), 0.0)
    for piece in listed:
        hours[piece.package in game_music.VALIDATION] += piece.seconds / 3600
    assert 0.08 < hours[True] / sum(hours.values()) < 0.12
    credits = {held: set() for held in hours}
    for piece in listed:
        credits[piece.package in game_music.VALIDATION].add(piece.credit)
    assert not credits[True] & credits[False]


def test_free_music_is_read_from_its_folder_and_listed_for_pretraining(tmp_path, monkeypatch):
    monkeypatch.setattr(FreeMusic, "count", 2)
    folder = tmp_path / "data" / "free_music"
    lines = ["file,licence,artist,title", 'a.ogg,CC BY 4.0,Ann,"A, b"', "b.ogg,CC0-1.0,Ben,C"]
    write_text(folder / "index.csv", lines)
    for number, name in enumerate("ab"):
        write_audio(folder / f"audio/{name}.ogg", number, 1.0)
    dataset = FreeMusic(cache=tmp_path / "cache", data=tmp_path / "data")
    dataset.prepare_data()
    assert {
        track.id: (track.group, track.get(Licence).name) for track in dataset.tracks("train")
    } == {"a": ("Ann", "CC-BY-4.0"), "b": ("Ben", "CC0-1.0")}
    assert dataset.tracks("validation") == dataset.tracks("test") == []
    listed = motionbeat("list", "datasets", "--data", tmp_path / "data").printed
    [line] = [line for line in listed.splitlines() if line.split()[1:2] == ["free_music"]]
    assert "present" in line
    assert "none: for pretraining" in line
    write_text(folder / "index.csv", [*lines[:2], "b.ogg,GPL-3,Ben,C"])
    with pytest.raises(DatasetError, match=r"track b\.ogg has the unknown licence 'GPL-3'"):
        FreeMusic(cache=tmp_path / "cache", data=tmp_path / "data").prepare_data()


@pytest.mark.skipif(not DATA, reason="needs real recordings: set MOTIONBEAT_DATA")
def test_real_free_music(tmp_path):
    dataset = FreeMusic(cache=tmp_path, data=Path(str(DATA)))
    dataset.prepare_data()
    assert sum(track.duration for track in dataset.tracks("train")) / 3600 > 0.9
