"""Measuring scripts run, and say what they ran on."""

import json

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
