"""Lightning's own command line for tasks and data modules."""

from lightning.pytorch.cli import LightningCLI

from motionbeat.benchmarks.embedded import Embedded
from motionbeat.benchmarks.registry import DATASETS, TASKS
from motionbeat.data_modules.base import Loaders
from motionbeat.errors import MotionBeatError
from motionbeat.tasks.task import Task


def lightning() -> None:
    """Run ``fit``, ``validate``, ``test`` or ``predict`` of a task on a dataset.

    ``--model`` names the class of a task. ``--data`` names the class of a data module, or
    :class:`Embedded` for stored features.
    """
    # The parser knows classes by their names once they are imported.
    assert issubclass(Embedded, Loaders)
    assert TASKS.classes
    assert DATASETS.classes
    try:
        LightningCLI(
            Task,
            Loaders,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_kwargs={"overwrite": True},  # without a logger all commands share a folder
        )
    except ValueError as error:
        if isinstance(error.__cause__, MotionBeatError):  # of a constructor, which the parser wraps
            raise error.__cause__ from None
        raise
