"""Genre or dance style of a track."""

from data_modules.base import Genre
from tasks.clip import SingleLabelTask


class GenreTask(SingleLabelTask):
    """Which genre, or which dance?"""

    name = "genre"
    version = 1
    needs = (Genre,)
