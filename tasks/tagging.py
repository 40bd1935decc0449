"""Free tags of a track."""

from motionbeat.data_modules.base import Tags
from motionbeat.tasks.clip_task import MultiLabelTask


class Tagging(MultiLabelTask):
    """Tags of a track, several classes."""

    name = "tagging"
    version = 2
    needs = (Tags,)
