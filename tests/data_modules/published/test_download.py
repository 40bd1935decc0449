import hashlib
import io
import random
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.error import HTTPError, URLError
from urllib.response import addinfourl

import pytest

from motionbeat.data_modules.base import DatasetError
from motionbeat.data_modules.published.download import Remote, fetch

ADVICE = "ask the authors"
NOISE = random.Random(0).randbytes(40_000)


class Web:
    """Answers in place of ``urlopen`` from memory, and remembers what was asked of it."""

    def __init__(self):
        self.files = {}
        self.asked = []
        self.ranges = True
        self.breaks = {}  # by path, after so many bytes the connection is closed, once

    def __call__(self, request, timeout):
        url, asked = request.full_url, request.get_header("Range")
        path = url.rpartition("/")[2]
        self.asked.append((path, asked))
        if not self.files:
            raise URLError("no route to host")
        if path not in self.files:
            raise HTTPError(url, 404, "Not Found", None, None)
        content = self.files[path]
        start = int(asked[len("bytes=") : -1]) if asked and self.ranges else 0
        if start and start >= len(content):
            raise HTTPError(url, 416, "Range Not Satisfiable", None, None)
        body = io.BytesIO(content[start : self.breaks.pop(path, None)])
        length = {"Content-Length": str(len(content) - start)}
        return addinfourl(body, length, url, 206 if start else 200)


@pytest.fixture
def web(monkeypatch):
    web = Web()
    monkeypatch.setattr("urllib.request.urlopen", web)
    return web


def remote(web, name, *parts, **options):
    """A file on the web, of one part or several."""
    paths = [name] if len(parts) == 1 else [f"{name}.{n}" for n in range(len(parts))]
    web.files |= dict(zip(paths, parts, strict=True))
    checksums = tuple(f"sha256:{hashlib.sha256(part).hexdigest()}" for part in parts)
    return Remote(tuple(f"https://web/{path}" for path in paths), checksums, name, **options)


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(members, mode="w:gz"):
    """A tar file; a member whose content is text is a symbolic link to it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def spoilt(content):
    """As long, but wrong from the middle on."""
    half = len(content) // 2
    return content[:half] + b"\xff" * (len(content) - half)


def tree(folder):
    """The files below a folder by their paths, without those that fetching keeps for itself."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".fetched" not in path.parts
    }


def parts(folder):
    return sorted(path.name for path in (folder / ".fetched").glob("*.part"))


def test_a_file_is_put_where_it_belongs_and_never_fetched_twice(web, tmp_path):
    file = remote(web, "list.txt", b"a list", folder="tables")
    for _ in range(2):
        fetch(file, tmp_path, ADVICE)
    assert tree(tmp_path) == {"tables/list.txt": b"a list"}
    assert web.asked == [("list.txt", None)]
    assert parts(tmp_path) == []


def test_two_at_once_fetch_it_once(web, tmp_path):
    one = remote(web, "a.txt", NOISE)
    with ThreadPoolExecutor(4) as threads:
        done = [threads.submit(fetch, one, tmp_path, ADVICE) for _ in range(4)]
    assert all(future.exception() is None for future in done)
    assert len(web.asked) == 1
    assert tree(tmp_path) == {"a.txt": NOISE}


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_said_and_gone_on_with(web, tmp_path, ranges):
    content = bytes(range(256)) * 40
    file = remote(web, "sound.bin", content)
    web.ranges, web.breaks["sound.bin"] = ranges, 1000
    with pytest.raises(DatasetError, match="broke after 1000 of 10240 bytes") as error:
        fetch(file, tmp_path, ADVICE)
    assert "\n" not in str(error.value)
    assert "run the same command again" in str(error.value)
    assert tree(tmp_path) == {}
    fetch(file, tmp_path, ADVICE)
    assert tree(tmp_path) == {"sound.bin": content}
    assert web.asked == [("sound.bin", None), ("sound.bin", "bytes=1000-")]


def test_parts_are_joined_in_their_order_and_fetched_on_where_they_broke(web, tmp_path):
    first, second = bytes(range(250)), bytes(250)
    file = remote(web, "sound.bin", first, second)
    web.breaks["sound.bin.1"] = 100
    with pytest.raises(DatasetError, match="broke after 100 of 250 bytes"):
        fetch(file, tmp_path, ADVICE)
    fetch(file, tmp_path, ADVICE)
    assert tree(tmp_path) == {"sound.bin": first + second}
    assert parts(tmp_path) == []
    assert web.asked[2:] == [("sound.bin.0", "bytes=250-"), ("sound.bin.1", "bytes=100-")]


def test_a_wrong_checksum_is_one_line_and_leaves_nothing(web, tmp_path):
    file = remote(web, "sound.bin", b"as pub", b"lished")
    web.files["sound.bin.1"] = b"tamper"
    with pytest.raises(DatasetError, match="not the published") as error:
        fetch(file, tmp_path, ADVICE)
    assert "\n" not in str(error.value)
    assert tree(tmp_path) == {}
    assert parts(tmp_path) == []
    web.files["sound.bin.1"] = b"lished"
    fetch(file, tmp_path, ADVICE)
    assert tree(tmp_path) == {"sound.bin": b"as published"}


def test_a_dead_link_says_what_to_do(web, tmp_path):
    file = remote(web, "gone.zip", b"")
    web.files = {"other": b""}
    for said in ("gone.zip: the server says 404 Not Found", "cannot be reached .*"):
        with pytest.raises(DatasetError, match=f"{said}; {ADVICE}") as error:
            fetch(file, tmp_path, ADVICE)
        assert "\n" not in str(error.value)
        web.files = {}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("all.zip", zipped({"a/one.txt": b"1", "two.txt": b"2"})),
        ("all.tar.gz", tarred({"a/one.txt": b"1", "two.txt": b"2"})),
        ("all.tar.bz2", tarred({"a/one.txt": b"1", "two.txt": b"2"}, "w:bz2")),
    ],
)
def test_archives_are_unpacked_among_what_is_there(web, tmp_path, name, content):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/kept.txt").write_bytes(b"kept")
    (tmp_path / "two.txt").write_bytes(b"old")
    fetch(remote(web, name, content), tmp_path, ADVICE)
    assert tree(tmp_path) == {"a/one.txt": b"1", "two.txt": b"2", "a/kept.txt": b"kept"}


def test_what_lifted_folders_hold_goes_up(web, tmp_path):
    content = zipped({"top/in/one.txt": b"1", "top/two.txt": b"2", "three.txt": b"3"})
    fetch(remote(web, "all.zip", content, folder="sub", lifted=("top/in", "top")), tmp_path, ADVICE)
    found = {"sub/one.txt": b"1", "sub/two.txt": b"2", "sub/three.txt": b"3"}
    assert tree(tmp_path) == found
    assert not [path for path in (tmp_path / "sub").iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    "member", ["{}/evil.txt", "../evil.txt", "a/../../evil.txt", "C:/evil.txt"]
)
@pytest.mark.parametrize("make", [zipped, tarred])
def test_no_member_leaves_the_folder(web, tmp_path, make, member):
    name = "bad.zip" if make is zipped else "bad.tar.gz"
    file = remote(web, name, make({"good.txt": b"good", member.format(tmp_path): b"evil"}))
    folder = tmp_path / "inner" / "dataset"
    with suppress(DatasetError):
        fetch(file, folder, ADVICE)
    assert tree(tmp_path).keys() == {f"inner/dataset/{path}" for path in tree(folder)}


@pytest.mark.parametrize("target", ["/etc", "../../..", "../outside"])
def test_a_link_that_leaves_the_folder_is_refused(web, tmp_path, target):
    (tmp_path / "outside").mkdir()
    file = remote(web, "bad.tar.gz", tarred({"way": target, "way/evil.txt": b"evil"}))
    with pytest.raises(DatasetError, match=r"bad.tar.gz: ") as error:
        fetch(file, tmp_path / "dataset", ADVICE)
    assert "\n" not in str(error.value)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bad.zip", b"no archive at all"),
        ("bad.zip", zipped({"one.txt": b"1" * 5000}).replace(b"1" * 5000, b"2" * 5000)),
        ("bad.tar.gz", tarred({"one.txt": bytes(range(256)) * 90})[:-30]),
        ("bad.tar.gz", spoilt(tarred({"one.txt": NOISE}))),
        ("bad.tar.bz2", spoilt(tarred({"one.txt": NOISE}, "w:bz2"))),
    ],
)
def test_a_damaged_archive_leaves_what_is_there_and_is_named(web, tmp_path, name, content):
    (tmp_path / "one.txt").write_bytes(b"old")
    with pytest.raises(DatasetError, match=f"{name}: cannot be unpacked .*fetch it again") as error:
        fetch(remote(web, name, content), tmp_path, ADVICE)
    assert "\n" not in str(error.value)
    assert tree(tmp_path) == {"one.txt": b"old"}


def test_a_folder_that_cannot_be_written_is_named(web, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatasetError, match="file: cannot be written"):
        fetch(remote(web, "list.txt", b"a list"), tmp_path / "file", ADVICE)
