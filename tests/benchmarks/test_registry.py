import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from tests import toys
from tests.command import motionbeat
from tests.conftest import failed

from motionbeat.benchmarks import encoders
from motionbeat.benchmarks.registry import (
    DATASETS,
    ENCODERS,
    TASKS,
    Registry,
    UnavailableError,
    UnknownNameError,
    make,
)


@pytest.mark.parametrize(
    ("known", "name"),
    [
        (ENCODERS, "Tiny"),
        (DATASETS, "Tones"),
        (TASKS, "ToyEmotion"),
    ],
)
def test_a_class_by_its_path_is_known_by_its_name_from_then_on(known, name):
    registry = Registry(known.kind, known._base, known.package)
    found = registry.get(f"tests.toys:{name}")
    assert found is getattr(toys, name)
    assert registry.get(registry._name(found)) is found


MINE = "from tests.toys import Tiny, card\nclass Mine(Tiny):\n    card = card('{name}')\n"


def test_a_class_in_a_file_of_its_own_is_told_from_other_states_of_the_file(tmp_path):
    file = tmp_path / "mine.py"
    revisions = set()
    for state in ("", "# another\n"):
        file.write_text(MINE.format(name="mine") + state)
        card = Registry("encoder", "motionbeat.encoder:Encoder", encoders).get(f"{file}:Mine").card
        assert card.name == "mine"
        assert card.revision.startswith("1+")
        revisions.add(card.revision)
    assert len(revisions) == 2


def test_a_name_that_is_taken_is_refused(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(MINE.format(name="logmel"))
    with pytest.raises(UnknownNameError, match="called 'logmel', a name that is taken"):
        ENCODERS.get(f"{file}:Mine")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("logmle", r"did you mean logmel\?"),
        ("xyz", r"no known name is near.*known: .*logmel"),
        ("tests.toys:Listening", "is not a subclass of Encoder; name a subclass of Encoder"),
        ("tests.toys:card", "is not a subclass of Encoder"),
        ("tests.toys:Nothing", r"names no class; write .*tests\.toys:Tiny"),
        ("tests.nowhere:Tiny", "cannot be loaded"),
        ("nowhere.py:Tiny", "'nowhere.py:Tiny' cannot be loaded: .*No such file"),
        ("one.py", "'one.py' names no class; write one.py:One$"),
        ("one.py:on", "'one.py:on' names no class; write one.py:One$"),
        ("none.py:", "'none.py:' names no class; name a subclass of Encoder that defines"),
    ],
)
def test_what_is_no_encoder_is_refused(path, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("one.py").write_text(MINE.format(name="one").replace("Mine", "One"))
    Path("none.py").write_text("from tests.toys import Tiny\nclass Card: pass\n")
    ended = motionbeat("check-encoder", path)
    assert failed(ended)
    assert re.search(words, ended.said.strip())


HEAVY = "{'lightning', 'transformers', 'onnxruntime', 'tensorflow', 'librosa', 'madmom', 'pandas'}"


def test_encoders_are_listed_without_what_is_heavy():
    code = (
        "import sys\n"
        "from motionbeat.benchmarks.cli import main\n"
        "sys.argv = ['motionbeat', 'list', 'encoders']\n"
        "main()\n"
        f"print('heavy:', {HEAVY} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "motionbeat-small" in run.stdout
    assert run.stdout.splitlines()[-1] == "heavy: set()"


class Absent(toys.Tiny):
    """It needs what is not installed."""

    card = toys.card("absent", training_data=("MagnaTagATune", "clicks"))
    packages: ClassVar = {"nowhere_at_all": "'nowhere>=2'", "json": "nothing"}

    def __init__(self):
        raise AssertionError("made in spite of all")


def test_an_encoder_that_cannot_be_made_here_is_listed_with_its_remedy(monkeypatch):
    monkeypatch.setitem(ENCODERS.classes, "absent", Absent)
    printed = motionbeat("list", "encoders").printed
    [line] = [row for row in printed.splitlines() if "absent" in row]
    for fact in ("8000", "10", "2", "6", "none", "MagnaTagATune, clicks"):
        assert f" {fact} " in line
    assert "not installed; run: pip" in line  # the rest may be on the next line
    assert "'nowhere>=2'" in printed


def test_an_encoder_that_cannot_be_made_here_stops_a_benchmark_before_any_work(bench, monkeypatch):
    """Rows that were finished stay; nothing is prepared, made or embedded for the others."""

    def files():
        found = (path for path in bench.folder.rglob("*") if path.is_file())
        return sorted(path for path in found if path.parent.name != "digests")  # of audio, for keys

    monkeypatch.setitem(ENCODERS.classes, "absent", Absent)
    before = files()
    arguments = ["absent,logmel,mfcc_chroma" if one == "logmel" else one for one in bench.arguments]
    assert failed(
        motionbeat(*arguments),
        "encoder absent: not installed; run: pip install 'nowhere>=2'",
    )
    assert files() == before


def test_all_that_encoders_lack_is_told_at_once():
    class Elsewhere(Absent):
        card = toys.card("elsewhere")

        @classmethod
        def unavailable(cls):
            return "weights missing; put them there"

    with pytest.raises(UnavailableError, match=r"absent: not .*; encoder elsewhere: weights miss"):
        make([toys.Tiny, Absent, Elsewhere])
