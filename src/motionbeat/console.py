"""What people see while work goes on: messages and progress on stderr."""

import os

from rich import progress
from rich.console import Console
from rich.text import Text

PLAIN_WIDTH = 180
LINE_SECONDS = 30.0

console = Console(stderr=True, highlight=False)


def wide(console: Console) -> Console:
    """The console, made as wide as tables need where it is no terminal."""
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


def leads() -> bool:
    """Whether this process speaks for those started beside it, each on a device of its own."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def say(message: str) -> None:
    """Print a message, as one line however narrow the terminal."""
    if leads():
        console.print(message, soft_wrap=True, markup=False)


class Rate(progress.ProgressColumn):
    """Finished steps a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: progress.Task) -> Text:
        """The rate, once it is known."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self.unit}/s")


class Bar(progress.Progress):
    """Progress with count, rate and time left; elsewhere than in a terminal, a line every 30 s."""

    def __init__(self, count: progress.ProgressColumn, rate: progress.ProgressColumn) -> None:
        self._parts = [
            progress.TextColumn("{task.description}"),
            count,
            rate,
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
        ]
        name, *rest = self._parts
        shown = console.is_terminal and leads()
        super().__init__(
            *(name, progress.BarColumn(), *rest),
            console=console, transient=True, auto_refresh=shown, disable=not shown,
            speed_estimate_period=600.0,  # a recording may take minutes
        )  # fmt: skip
        self._last_line = self.get_time()

    def advance(self, task_id: progress.TaskID, advance: float = 1) -> None:
        """Count finished steps."""
        super().advance(task_id, advance)
        now = self.get_time()
        if self.disable and now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            say(" ".join(str(part.render(self._tasks[task_id])) for part in self._parts))


def bar(unit: str) -> Bar:
    """Progress in a unit such as ``tracks``."""
    return Bar(progress.MofNCompleteColumn(), Rate(unit))


def bytes_bar() -> Bar:
    """Progress in bytes."""
    return Bar(progress.DownloadColumn(), progress.TransferSpeedColumn())
