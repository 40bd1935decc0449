"""Genre or dance style of a track."""

from motionbeat.data_modules.base import Genre
from motionbeat.tasks.clip import SingleLabelTask


class GenreTask(SingleLabelTask):
    """Which genre, or which dance?"""

    name = "genre"
    version = 1
    needs = (Genre,)
