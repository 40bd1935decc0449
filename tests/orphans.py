"""Processes of a script that is killed."""

import os
import select
import subprocess
import sys


def assert_processes_end(script, pipe):
    """Start a script whose two processes each write a byte to a pipe, kill it, and wait for them.

    The script is given the path of the pipe, which its processes hold open.
    """
    os.mkfifo(pipe)
    with subprocess.Popen([sys.executable, "-c", script, pipe]) as parent:
        reader = os.open(pipe, os.O_RDONLY)
        said = b""
        while len(said) < 2:
            select.select([reader], [], [])
            said += os.read(reader, 1)
        parent.kill()
    ready, _, _ = select.select([reader], [], [], 30)
    assert ready, "a process lives on"
    assert os.read(reader, 1) == b""  # the end of the pipe: nobody holds its other side
