"""The command line, called in the process of the tests."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple
from unittest import mock

from motionbeat.benchmarks.cli import main


class Ended(NamedTuple):
    """How a command ended: status, stdout and stderr."""

    code: int
    printed: str
    said: str


def motionbeat(*arguments):
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        mock.patch.object(sys, "argv", ["motionbeat", *map(str, arguments)]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    return Ended(code, out.getvalue(), err.getvalue())
