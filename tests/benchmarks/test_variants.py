import pytest
import torch
from tests.benchmarks.test_store import WholeRecording
from tests.conftest import failed, record, run
from tests.toys import RATE, Tiny

from motionbeat.benchmarks.cli import split
from motionbeat.benchmarks.registry import ENCODERS
from motionbeat.benchmarks.variants import VariantError, named, variant
from motionbeat.encoding import encode, make_encoder

TINY = "tests.toys:Tiny"
WAVEFORM = torch.rand(1, 3 * RATE, generator=torch.Generator().manual_seed(0))


def test_a_variant_gives_the_layers_it_keeps():
    whole = Tiny()(WAVEFORM)
    assert torch.equal(make_encoder(f"{TINY}[1]")(WAVEFORM), whole[:, [1]])
    assert torch.equal(make_encoder(f"{TINY}[1, 0]")(WAVEFORM), whole)
    assert torch.equal(make_encoder(f"{TINY}[mean]")(WAVEFORM), whole.mean(1, keepdim=True))
    assert torch.equal(make_encoder(f"{TINY}[int8]")(WAVEFORM), whole)


@pytest.mark.parametrize("parts", ["1", "mean", "int8"])
def test_a_whole_recording_in_parts_too(parts):
    kind = variant(WholeRecording, parts)
    waveform = WAVEFORM[0].numpy()
    whole = encode(WholeRecording(), waveform.copy())
    kept = {"1": whole[:, [1]], "mean": whole.mean(1, keepdims=True), "int8": whole}[parts]
    assert encode(kind(), waveform.copy()) == pytest.approx(kept, abs=1e-6)
    assert kind.context == WholeRecording.context


def test_names_say_what_is_kept():
    assert split("a,b[4,8], c[mean,int8]") == ["a", "b[4,8]", "c[mean,int8]"]
    assert named(named("a", "4,8"), None, True) == "a[4,8,int8]"
    assert ENCODERS.get(f"{TINY}[1,0,int8]").card.name == "tiny[0,1,int8]"
    assert ENCODERS.get(f"{TINY}[int8]").card.eight_bits
    with pytest.raises(VariantError, match=r"'tiny' has no layer '2'; choose from 0 to 1, or mean"):
        ENCODERS.get(f"{TINY}[0,2]")


def test_bench_keeps_part_of_the_layers_in_an_entry_of_its_own(tmp_path, short_training, alone):
    run(tmp_path)
    run(tmp_path, "--layers", "1", "--int8")
    whole, part = record(tmp_path, "tiny"), record(tmp_path, "tiny[[]1,int8]")
    assert part.name == "tiny[1,int8]"
    assert part.key != whole.key
    assert [len(one.results["linear"].layer_weights[0]) for one in (whole, part)] == [2, 1]
    assert failed(run(tmp_path, "--layers", "7"), "no layer '7'")
    assert failed(run(tmp_path, "--int8", "--mode", "full"), "--int8 is for frozen encoders")
