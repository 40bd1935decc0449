"""Measuring scripts run, and say what they ran on."""

import json
import re

from scripts import eight_bits
from scripts.speed import extraction, gpu


def test_a_device_is_measured_whatever_it_is(tmp_path, short_training):
    gpu.main(
        tmp_path / "speed" / "gpu.json", "logmel", "tests.clicks:Clicks", size="tiny", scale=0.001
    )
    found = json.loads((tmp_path / "speed" / "gpu.json").read_text())
    assert found["device"].startswith("CPU") or found["extraction"].keys() >= {"logmel bf16"}
    assert found["extraction"]["logmel float32"]["times_real_time"] > 0
    assert min(found["probes"]["seconds"], found["pretraining_step"]["seconds"]) > 0
    assert found["dance_sampling"]["times_real_time"] > 0


def test_all_parts_of_extraction_are_measured(tmp_path):
    for part in extraction.PARTS:
        found = getattr(extraction, part)(tmp_path, 0.0001 if part == "growth" else 0.001)
        assert found
        assert min(found.values()) > 0


def test_eight_bits_hardly_change_the_scores_of_a_probe(tmp_path, short_training, capsys):
    eight_bits.main("logmel", "tests.clicks:Clicks", seeds=3, cache=tmp_path)
    printed = capsys.readouterr().out
    same, trained = re.findall(r"([+-][.\d]+) \[([+-][.\d]+), ([+-][.\d]+)\]", printed)
    for mean, low, high in (same, trained):
        assert float(low) <= float(mean) <= float(high)
    assert abs(float(same[0])) < 0.02
