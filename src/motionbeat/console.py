"""What people see while work goes on: messages and progress on stderr."""

import os

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

PLAIN_WIDTH = 180

console = Console(stderr=True, highlight=False)


def wide(console: Console) -> Console:
    """The console, made as wide as tables need where nobody looks at a terminal."""
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


class Rate(ProgressColumn):
    """Finished steps a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        """The rate, once it is known."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self.unit}/s")


def bar(unit: str) -> Progress:
    """A progress display with rate and time left; nothing where nobody looks at a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (console.is_terminal and leads()),
    )


def bytes_bar() -> Progress:
    """A progress display of bytes, otherwise like :func:`bar`."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (console.is_terminal and leads()),
    )
