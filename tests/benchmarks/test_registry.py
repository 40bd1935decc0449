import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import pytest
from tests import toys
from tests.command import motionbeat

from motionbeat import data_modules, tasks
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


@pytest.mark.parametrize("registry", [ENCODERS, DATASETS, TASKS], ids=lambda one: one.kind)
def test_every_class_with_a_name_is_found(registry):
    named = set()
    for module in pkgutil.walk_packages(registry.package.__path__, f"{registry.package.__name__}."):
        content = vars(import_module(module.name)).values()
        classes = [one for one in content if isinstance(one, type)]
        named |= {
            one
            for one in classes
            if issubclass(one, registry.base) and {"card", "name"} & vars(one).keys()
        }
    assert named
    assert named <= set(registry.classes.values())
    assert registry.base not in registry.classes.values()


@pytest.mark.parametrize(
    ("package", "kind", "base", "path"),
    [
        (encoders, "encoder", "motionbeat.encoder:Encoder", "tests.toys:Tiny"),
        (data_modules, "dataset", "motionbeat.data_modules.base:DataModule", "tests.toys:Tones"),
        (tasks, "task", "motionbeat.tasks.task:Task", "tests.toys:ToyEmotion"),
    ],
)
def test_a_class_by_its_path_is_known_by_its_name_from_then_on(package, kind, base, path):
    registry = Registry(kind, base, package)
    found = registry.get(path)
    assert found is getattr(toys, path.partition(":")[2])
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
        ("tests.toys:Listening", "is no Encoder with a card or name of its own"),
        ("tests.toys:Tones", "is no Encoder with"),
        ("tests.toys:card", "is no Encoder with"),
        ("tests.toys:Nothing", r"tests\.toys has no class Nothing; it has .*Tiny"),
        ("tests.nowhere:Tiny", "cannot be loaded"),
        ("nowhere.py:Tiny", "nowhere.py: no such file; give the path"),
    ],
)
def test_what_is_no_encoder_is_refused(path, words):
    with pytest.raises(UnknownNameError, match=words) as caught:
        ENCODERS.get(path)
    assert "\n" not in str(caught.value)


def test_a_class_that_was_forgotten_or_misspelt_is_offered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = "from tests.toys import Tiny, Tones, card\nclass One(Tiny):\n    card = card('one')\n"
    Path("one.py").write_text(one)
    Path("two.py").write_text(one + "class Two(One):\n    card = card('two')\n")
    Path("none.py").write_text("from tests.toys import Tiny\nclass Card: pass\n")
    own = "give it Encoder with a card or name of its own"
    for name, said in {
        "one.py": "encoder 'one.py' names no class; write one.py:One",
        "one.py:": "encoder 'one.py:' names no class; write one.py:One",
        "one.py:on": "one.py has no class on; it has One",
        "two.py": "encoder 'two.py' names no class; write two.py:One or two.py:Two",
        "two.py:Three": "two.py has no class Three; it has One and Two",
        "none.py": f"encoder 'none.py' names no class; {own}",
        "none.py:One": f"none.py has no class One; {own}",
    }.items():
        ended = motionbeat("check-encoder", name)
        assert (ended.code, ended.said) == (1, f"motionbeat: error: {said}\n")


def test_an_unknown_name_offers_near_ones():
    with pytest.raises(UnknownNameError, match=r"did you mean logmel\?"):
        ENCODERS.get("log_mel")
    with pytest.raises(UnknownNameError, match=r"no known name is near.*known: .*logmel"):
        ENCODERS.get("xyz")


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
    monkeypatch.setitem(ENCODERS.classes, "absent", Absent)
    before = sorted(path for path in bench.folder.rglob("*") if path.is_file())
    arguments = ["absent,logmel,mfcc_chroma" if one == "logmel" else one for one in bench.arguments]
    ended = motionbeat(*arguments)
    assert ended.code == 1
    [line] = ended.said.splitlines()[-1:]
    assert line == (
        "motionbeat: error: encoder absent: not installed; run: pip install 'nowhere>=2'"
    )
    assert "Traceback" not in ended.said
    assert sorted(path for path in bench.folder.rglob("*") if path.is_file()) == before
    assert bench.record("logmel").name == "logmel"


def test_all_that_encoders_lack_is_told_at_once():
    class Elsewhere(Absent):
        card = toys.card("elsewhere")

        @classmethod
        def unavailable(cls):
            return "weights missing; put them there"

    with pytest.raises(UnavailableError) as caught:
        make([toys.Tiny, Absent, Elsewhere])
    assert "encoder absent: not installed" in str(caught.value)
    assert "encoder elsewhere: weights missing; put them there" in str(caught.value)
    [tiny] = make([toys.Tiny])
    assert type(tiny) is toys.Tiny


def test_tasks_are_listed_with_their_metric_and_what_they_need():
    rows = motionbeat("list", "tasks").printed.splitlines()
    [line] = [row for row in rows if " BeatTracking " in row]
    assert all(f" {fact} " in line for fact in ("beat", "beat_f_measure", "Beats"))
