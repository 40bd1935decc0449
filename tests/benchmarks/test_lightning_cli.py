"""Lightning's own commands for tasks."""

import pytest
from tests.clicks import Clicks
from tests.command import motionbeat
from tests.conftest import failed

QUIET = (
    "--trainer.enable_progress_bar=false",
    "--trainer.accelerator=cpu",
    "--trainer.max_epochs=1",
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOTIONBEAT_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("data", ["tests.clicks.Clicks", "Embedded"])
def test_fit_test_and_predict(folder, data):
    options = ["--model=BeatTracking", "--model.encoder=tests.toys:Tiny", f"--data={data}"]
    if data == "Embedded":
        options += ["--data.data=tests.clicks.Clicks", "--data.encoder=tests.toys:Tiny"]
    checkpoints = (
        "--trainer.callbacks+=ModelCheckpoint",
        f"--trainer.callbacks.dirpath={folder}",
        "--trainer.callbacks.filename=best",
        "--trainer.callbacks.monitor=val/beat_f_measure",
        "--trainer.callbacks.mode=max",
    )
    ended = motionbeat("fit", *options, *QUIET, *checkpoints)
    assert ended.code == 0, ended.said
    assert (folder / "best.ckpt").is_file()
    options += ["--trainer.logger=false"]  # so all commands leave their settings in one place
    for command in ("validate", "test", "predict"):
        ended = motionbeat(command, *options, *QUIET, f"--ckpt_path={folder / 'best.ckpt'}")
        assert ended.code == 0, ended.said
        if command == "test":
            assert "test/beat_f_measure" in ended.printed


def test_a_tiny_groovebox(folder):
    ended = motionbeat(
        *("fit", "--model=GenreClassification", "--model.encoder=tests.toys:Tiny", *QUIET),
        *("--data=GrooveBox", "--data.train=1", "--data.validation=1", "--data.test=1"),
        *("--data.seconds=4.0", "--data.styles=[house,jig]", "--data.batch_size=4"),
    )
    assert ended.code == 0, ended.said
    assert len(list(folder.glob("lightning_logs/version_0/checkpoints/*.ckpt"))) == 1


def test_an_unknown_encoder_is_one_line(folder):
    ended = motionbeat("fit", "--model=BeatTracking", "--model.encoder=logmell", *QUIET,
                       f"--data={Clicks.__module__}.Clicks")  # fmt: skip
    assert failed(ended, "unknown encoder 'logmell'")
