"""Genre or dance style of a track."""

from motionbeat.data_modules.base import Genre
from motionbeat.tasks.clip_task import SingleLabelTask


class GenreClassification(SingleLabelTask):
    """Genre or dance style of a track, one class."""

    name = "genre"
    version = 2
    needs = (Genre,)
