import os
from functools import partial

import pytest
from tests.orphans import assert_processes_end

from motionbeat.processes import ProcessError, side_by_side

WAITING = """
import os, sys
from functools import partial
from motionbeat.processes import side_by_side

def wait(path):
    os.write(os.open(path, os.O_WRONLY), b"x")
    os.read(os.pipe()[0], 1)

list(side_by_side([partial(wait, sys.argv[1])] * 2, 2))
"""
"""Two processes say that they have begun, then block for ever."""


def test_results_come_from_processes_beside_this_one():
    assert sorted(side_by_side([partial(abs, -n) for n in range(5)], 2)) == [0, 1, 2, 3, 4]
    assert os.getpid() not in side_by_side([os.getpid] * 3, 2)
    assert list(side_by_side([os.getpid] * 3, 1)) == [os.getpid()] * 3
    assert list(side_by_side([os.getpid])) == [os.getpid()]


def test_with_one_processor_all_calls_run_in_this_process(monkeypatch):
    monkeypatch.setattr("motionbeat.processes.cpu_count", lambda: 1)
    assert list(side_by_side([os.getpid] * 3)) == [os.getpid()] * 3


def test_a_killed_process_is_one_line():
    with pytest.raises(ProcessError, match="run again") as caught:
        list(side_by_side([partial(os._exit, 9)] * 2, 2))
    assert "\n" not in str(caught.value)


def test_processes_end_with_a_killed_parent(tmp_path):
    assert_processes_end(WAITING, tmp_path / "pipe")
