"""A tiny FineDance: arrays of 315 or 319 columns, labels that write one style in two ways."""

import json
from pathlib import Path

import numpy as np
from tests.lookalikes import write_audio

import motionbeat.data_modules.published.finedance

HOME = "finedance"
IDS = ("012", "037", "001", "002", "003", "004", "005", "006", "007", "008", "116")
COUNTS = {"finedance": len(IDS) - 1}
PATCHES = [(motionbeat.data_modules.published.finedance, "PUBLISHED", IDS)]

STYLES = ("Dai", "Tai", "Popping", "jazz")
FRAMES = 45


def dance(seed: int, contacts: bool) -> np.ndarray:
    """Frames of a body that stands at 1 m and turns about the vertical, one radian a second."""
    angle = np.arange(FRAMES) / 30
    numbers = np.zeros((FRAMES, 315), np.float32)
    numbers[:, 1] = 1.0
    rows = numbers[:, 3:].reshape(FRAMES, 52, 6)
    rows[...] = [1, 0, 0, 0, 1, 0]
    rows[:, 0, 0], rows[:, 0, 2] = np.cos(angle), np.sin(angle)
    return np.concatenate([np.ones((FRAMES, 4)), numbers], axis=1) if contacts else numbers


def write(folder: Path) -> None:
    for name in ("motion", "label_json"):
        (folder / name).mkdir()
    for seed, id in enumerate(IDS):
        np.save(folder / f"motion/{id}.npy", dance(seed, contacts=seed == 2))
        label = {"name": f"歌 {seed}", "style1": "Modern", "style2": STYLES[seed % 4]}
        (folder / f"label_json/{id}.json").write_text(
            json.dumps(label, ensure_ascii=False), encoding="utf-8"
        )
        write_audio(folder / f"music_wav/{id}.wav", seed, 1.6, 44100, channels=2)
