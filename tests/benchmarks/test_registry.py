import pkgutil
from importlib import import_module

import pytest

import benchmarks.encoders
import data_modules
import tasks
from benchmarks.registry import DATASETS, ENCODERS, TASKS, Registry, UnknownNameError
from tests import toys


@pytest.mark.parametrize("registry", [ENCODERS, DATASETS, TASKS], ids=lambda one: one.kind)
def test_every_class_with_a_name_is_found(registry):
    named = set()
    for module in pkgutil.iter_modules(registry.package.__path__):
        content = vars(import_module(f"{registry.package.__name__}.{module.name}")).values()
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
        (benchmarks.encoders, "encoder", "motionbeat.encoder:Encoder", "tests.toys:Tiny"),
        (data_modules, "dataset", "data_modules.base:DataModule", "tests.toys:Tones"),
        (tasks, "task", "tasks.base:Task", "tests.toys:ToyGenre"),
    ],
)
def test_a_class_by_its_path_is_known_by_its_name_from_then_on(package, kind, base, path):
    registry = Registry(kind, base, package)
    found = registry.get(path)
    assert found is getattr(toys, path.partition(":")[2])
    assert registry.get(registry._name(found)) is found


def test_a_class_in_a_file_of_its_own(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from tests.toys import Tiny, card\nclass Mine(Tiny):\n    card = card('mine')\n"
    )
    first = ENCODERS.get(f"{file}:Mine").card
    assert first.name == "mine"
    assert first.revision.startswith("1+")


def test_another_state_of_a_file_is_another_revision(tmp_path):
    revisions = set()
    for number in range(2):
        file = tmp_path / "mine.py"
        file.write_text(
            "from tests.toys import Tiny, card\n"
            f"class Mine(Tiny):\n    card = card('mine')\n    number = {number}\n"
        )
        registry = Registry("encoder", "motionbeat.encoder:Encoder", benchmarks.encoders)
        revisions.add(registry.get(f"{file}:Mine").card.revision)
    assert len(revisions) == 2


def test_a_name_that_is_taken_is_refused(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from tests.toys import Tiny, card\nclass Mine(Tiny):\n    card = card('logmel')\n"
    )
    with pytest.raises(UnknownNameError, match="called 'logmel', a name that is taken"):
        ENCODERS.get(f"{file}:Mine")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("tests.toys:Listening", "is no Encoder with a card or name of its own"),
        ("tests.toys:Tones", "is no Encoder with"),
        ("tests.toys:card", "is no Encoder with"),
        ("tests.toys:Nothing", "cannot be loaded"),
        ("tests.nowhere:Tiny", "cannot be loaded"),
        ("nowhere.py:Tiny", "cannot be loaded"),
    ],
)
def test_what_is_no_encoder_is_refused(path, words):
    with pytest.raises(UnknownNameError, match=words) as caught:
        ENCODERS.get(path)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_offers_near_ones():
    with pytest.raises(UnknownNameError, match=r"did you mean logmel\?"):
        ENCODERS.get("log_mel")
    with pytest.raises(UnknownNameError, match=r"no known name is near.*known: .*logmel"):
        ENCODERS.get("xyz")
