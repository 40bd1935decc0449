"""Kill workers and drivers at random times, and compare the records with those of a calm run.

    python -m scripts.speed.kills --kills 30 --ray auto

Each round starts from generated data and nothing else. A command whose driver was killed is started
again, until it ends by itself. Rounds follow until there were so many kills. Do not edit the code
meanwhile: records name its commit.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from jsonargparse import auto_cli
from scripts.speed.memory import descendants

from motionbeat.benchmarks.records import read_records

TIMES = {"seconds", "seconds_per_hour", "finished"}
COMMAND = (
    *("bench", "--task", "genre,tempo", "--encoder", "logmel,mfcc_chroma", "--heads", "linear"),
    *("--seeds", "1", "--learning_rates", "[0.01]", "--dataset_options"),
    "{styles: [house, funk, waltz], seconds: 9, train: 2, validation: 1, test: 1}",
)
WORKERS = ("ray::Worker", "LokyProcess")


def known(results: Path) -> dict[str, Any]:
    """What records say, but for times."""
    records = {}
    for one in read_records(results):
        heads = {name: head.model_dump(mode="json") for name, head in one.results.items()}
        for head in heads.values():
            del head["seconds"]
        rest = one.model_dump(mode="json", exclude=TIMES)
        records[f"{one.task} {one.dataset} {one.label}"] = rest | {"results": heads}
    return records


def differing(one: Any, other: Any, name: str = "") -> set[str]:
    """Names of the fields in which two records, or more of them, differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() | other.keys()
        return set().union(*(differing(one.get(k), other.get(k), str(k)) for k in keys))
    return set() if one == other else {name}


def workers(pid: int) -> list[int]:
    """Workers among the processes that a process started."""
    found = []
    for one in descendants(pid)[1:]:
        try:
            words = Path(f"/proc/{one}/cmdline").read_text()
        except OSError:
            continue
        if any(name in words for name in WORKERS):
            found.append(one)
    return found


def main(
    kills: int = 30,
    ray: Literal["auto"] | None = None,
    seed: int = 0,
    drivers: float = 0.3,
    between: float = 20.0,
) -> None:
    """Kill at random.

    Args:
        kills: how many in all.
        ray: with Ray on this machine.
        seed: of the choices.
        drivers: share of kills that hit the driver.
        between: s between two kills, at most.
    """
    choices = random.Random(seed)
    done = {"worker": 0, "driver": 0}
    rounds = wrong = refused = 0
    with TemporaryDirectory() as folder:

        def started(name: str, *more: str) -> subprocess.Popen[str]:
            places = ("--cache", f"{folder}/{name}/cache", "--results", f"{folder}/{name}/results")
            words = [sys.executable, "-m", "motionbeat", *COMMAND, *places, *more]
            quiet = subprocess.DEVNULL
            return subprocess.Popen(words, stdout=quiet, stderr=subprocess.PIPE, text=True)

        calm = started("calm")
        assert calm.wait() == 0
        expected = known(Path(folder, "calm", "results"))
        print(f"{len(expected)} records of a calm run", flush=True)
        while sum(done.values()) < kills:
            rounds += 1
            data = Path("cache", "data")
            shutil.copytree(Path(folder, "calm") / data, Path(folder, f"{rounds}") / data)
            code = 1
            while code:
                driver = started(f"{rounds}", *(("--ray", ray) if ray else ()))
                hit = False
                while driver.poll() is None:
                    try:
                        driver.wait(choices.uniform(0, between))
                        break
                    except subprocess.TimeoutExpired:
                        pass
                    if sum(done.values()) >= kills:
                        continue
                    kind = "driver" if choices.random() < drivers else "worker"
                    targets = [driver.pid] if kind == "driver" else workers(driver.pid)
                    if targets:
                        try:
                            os.kill(choices.choice(targets), signal.SIGKILL)
                        except ProcessLookupError:
                            continue
                        done[kind] += 1
                        hit = True
                        print(f"{time.strftime('%X')} {kind} killed", flush=True)
                assert driver.stderr is not None
                said = driver.stderr.read()
                code = driver.wait()
                if code > 0:  # it gave up with an error, which must be one line
                    refused += 1
                    last = said.splitlines()[-1]
                    assert hit, said
                    assert last.startswith("motionbeat: error: "), said
                    print(last, flush=True)
            others = differing(expected, known(Path(folder, f"{rounds}", "results")))
            wrong += bool(others)
            print(f"round {rounds}: records differ in {sorted(others) or 'nothing'}", flush=True)
    print(
        f"{done['worker']} workers and {done['driver']} drivers killed in {rounds} rounds "
        f"{'by Ray' if ray else 'without Ray'}: {wrong} rounds with other records, {refused} "
        "commands ended with an error"
    )
    sys.exit(wrong > 0)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
