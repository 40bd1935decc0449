"""Where the output is no terminal, progress is a line now and then."""

import io

import pytest
import torch
from lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from motionbeat import console
from motionbeat.progress import StepBar, quiet


@pytest.fixture
def now(monkeypatch):
    """The time in seconds, as the only item of a list."""
    time = [0.0]
    monkeypatch.setattr(console.console, "get_time", lambda: time[0])
    return time


@pytest.fixture
def said(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(console.console, "file", out)
    return lambda: out.getvalue().splitlines()


def test_a_line_at_most_every_30_seconds_with_count_rate_and_time_left(now, said):
    with console.bar("tracks") as progress:
        for _ in progress.track(range(100), description="embedding"):
            now[0] += 4.0
    first, second, *rest = said()
    assert first.split() == ["embedding", "8/100", "0.2", "tracks/s", "0:00:32", "left", "0:06:08"]
    assert "16/100" in second
    assert len(rest) == 400 // 32 - 2


def test_quick_work_and_helper_processes_say_nothing(monkeypatch, now, said):
    with console.bytes_bar() as progress:
        task = progress.add_task("fetching", total=10**6)
        progress.advance(task, 10**5)
        monkeypatch.setenv("LOCAL_RANK", "1")
        now[0] += 60
        progress.advance(task, 10**5)
    assert said() == []


class Slope(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, _):
        return self.layer(batch).mean()

    def predict_step(self, batch, _):
        return self.layer(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def test_training_and_predictions_are_shown(tmp_path, now, said):
    def slow(*_):
        now[0] += 31

    model = Slope()
    model.on_train_batch_start = model.on_predict_batch_start = slow
    with console.bar("steps") as progress, quiet():
        trainer = Trainer(
            max_epochs=1, accumulate_grad_batches=2, accelerator="cpu", logger=False,
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
            default_root_dir=tmp_path, callbacks=[StepBar(progress, "slope")],
        )  # fmt: skip
        data = DataLoader(torch.ones(4, 1))
        trainer.fit(model, data)
        trainer.predict(model, data)
    counts = [line.split()[1] for line in said() if line.startswith("slope")]
    assert counts == ["0/2", "1/2", "1/2", "2/2", "1/4", "2/4", "3/4", "4/4"]
