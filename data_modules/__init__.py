"""Datasets as LightningDataModules, for example ``motionbeat.data_modules.GrooveBox``.

The module of a dataset is imported on first use of its class.
"""

from importlib import import_module
from typing import Any

_CLASSES = {
    "published.aistpp": "AistPlusPlus",
    "published.asap": "ASAP",
    "published.ballroom": "Ballroom",
    "published.beatles": "Beatles",
    "published.candombe": "Candombe",
    "published.dance_with_melody": "DanceWithMelody",
    "published.deam": "Deam",
    "published.emomusic": "EmoMusic",
    "published.emotify": "Emotify",
    "published.finedance": "FineDance",
    "published.fma_small": "FmaSmall",
    "published.free_music": "FreeMusic",
    "published.fretsonfire": "FretsOnFire",
    "published.game_music": "GameMusic",
    "published.giantsteps_tempo": "GiantStepsGenre GiantStepsTempo",
    "published.gtzan": "Gtzan GtzanRhythm",
    "published.hainsworth": "Hainsworth",
    "published.irmas": "IRMAS",
    "published.magnatagatune": "MagnaTagATune",
    "published.medley_solos_db": "MedleySolosDB",
    "published.motorica": "Motorica",
    "published.mtg_jamendo": "JamendoTop50 JamendoGenre JamendoInstrument JamendoMoodTheme",
    "published.nsynth": "NSynth",
    "published.openmic2018": "OpenMIC2018",
    "published.rwc_popular": "RwcPopular",
    "published.smc": "SMC",
    "published.tinysol": "TinySOL",
    "rendered.danced_music": "DancedMusic",
    "rendered.fiddle_tunes": "FiddleTunes",
    "rendered.groove_midi": "GrooveMidi",
    "rendered.groovebox": "GrooveBox",
    "rendered.pop909": "Pop909",
    "rendered.warped_salsa": "WarpedSalsa",
}
_MODULES = {name: module for module, names in _CLASSES.items() for name in names.split()}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
