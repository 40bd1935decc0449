"""Instruments of a track, and the note where there is one alone."""

from motionbeat.data_modules.base import Instrument, Instruments, Pitch
from motionbeat.tasks.clip import MultiLabelTask, SingleLabelTask


class InstrumentTask(SingleLabelTask):
    """Which instrument plays alone?"""

    name = "instrument"
    version = 1
    needs = (Instrument,)


class InstrumentsTask(MultiLabelTask):
    """Which instruments play together?"""

    name = "instruments"
    version = 1
    needs = (Instruments,)


class PitchTask(SingleLabelTask):
    """Which note is it?"""

    name = "pitch"
    version = 1
    needs = (Pitch,)
