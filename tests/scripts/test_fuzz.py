import pytest
from scripts.fuzz import KINDS, outcome, variant

WHOLE = [(kind, ending) for kind, made in KINDS.items() for ending in made.endings]


@pytest.mark.parametrize(("kind", "ending"), WHOLE)
def test_whole_files_are_read(tmp_path, kind, ending):
    KINDS[kind].write(tmp_path / f"whole{ending}")
    assert outcome(kind, tmp_path / f"whole{ending}") == "read"


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, kind):
    found = {number: outcome(kind, variant(kind, number, tmp_path)) for number in range(40)}
    assert set(found.values()) <= {"read", "refused"}, found
    assert "refused" in found.values()
