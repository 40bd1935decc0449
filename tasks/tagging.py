"""Free tags of a track."""

from motionbeat.data_modules.base import Tags
from motionbeat.tasks.clip import MultiLabelTask


class TaggingTask(MultiLabelTask):
    """Which tags would people give it?"""

    name = "tagging"
    version = 1
    needs = (Tags,)
