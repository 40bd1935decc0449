import pytest
from tests.command import motionbeat
from tests.conftest import shorten
from tests.dancing import train_shortly
from tests.staged import stage


@pytest.fixture(scope="session")
def staged(tmp_path_factory):
    """Records, kept probes and data of a bench of every task that the report can play."""
    return stage(tmp_path_factory.mktemp("staged"))


def make_report(staged, out, *more):
    """A report in the process of the tests, where probes are as small as they were trained."""
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        train_shortly(patch)
        places = ("--results", staged / "results", "--cache", staged / "cache", "--out", out)
        return motionbeat("report", *places, "--dataset", "tests.staged:Staged", *more)


@pytest.fixture(scope="session")
def pages(staged, tmp_path_factory):
    """A report with audio, predictions and dances of two tracks."""
    out = tmp_path_factory.mktemp("report") / "pages"
    ended = make_report(staged, out, "--media", 2)
    assert ended.code == 0, ended.said
    return out
