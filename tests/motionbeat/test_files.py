import os
import time

import pytest

from motionbeat.files import ABANDONED, replacing, scratch_folder, write_atomically


@pytest.mark.parametrize(("age", "stay"), [(ABANDONED / 2, True), (ABANDONED * 2, False)])
def test_what_killed_processes_left_is_swept_once_it_is_old(tmp_path, age, stay):
    with replacing(tmp_path / "elsewhere" / "file") as unfinished:
        unfinished.touch()
    with scratch_folder(tmp_path / "elsewhere") as scratch:
        pass
    folder = tmp_path / "folder"
    (folder / scratch.name).mkdir(parents=True)
    (folder / scratch.name / "half").write_bytes(b"half")
    (folder / unfinished.name).write_bytes(b"half")
    (folder / ".hidden.txt").write_bytes(b"of the user")
    before = time.time() - age
    for path in folder.iterdir():
        os.utime(path, (before, before))
    write_atomically(folder / "file", b"whole")
    left = {scratch.name, unfinished.name} if stay else set()
    assert {path.name for path in folder.iterdir()} == left | {".hidden.txt", "file"}
