"""An installed wheel brings one package, and works away from the repository."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Python of an environment with the wheel, which sees the dependencies and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns(".*", "results", "tests", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, symlinks=True, ignore=ignored)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    options = ["--no-deps", "--no-index"]
    build = [*pip, "wheel", *options, "--no-build-isolation", "-w", folder, source]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    place = folder / "environment"
    venv.create(place)
    site = place / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    install = [*pip, "install", *options, "--target", site, wheel]
    subprocess.run(install, check=True, capture_output=True)
    names = {path.name for path in site.iterdir()}
    # The dependencies are found, the checkout is not: its own .pth file is not read from there.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return place / "bin" / "python", names


def test_the_wheel_brings_one_package(installed):
    _, names = installed
    packages = {name for name in names if not name.endswith(".dist-info") and name != "bin"}
    assert packages == {"motionbeat"}


def test_a_bench_beside_modules_of_the_same_names(installed, tmp_path):
    python, _ = installed
    (tmp_path / "tasks.py").write_text("raise RuntimeError('not yours')")
    for name in ("benchmarks", "data_modules"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not yours')")
    command = (
        *(python, "-m", "motionbeat", "bench", "--encoder", "logmel", "--heads", "linear"),
        *("--task", "genre", "--seeds", "1", "--learning_rates", "[0.01]"),
        *("--dataset_options", "{styles: [house, funk], seconds: 4, train: 1, test: 1}"),
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MOTION")}
    clean.pop("PYTHONPATH", None)
    ended = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "logmel" in ended.stdout
    assert (tmp_path / "results" / "leaderboard_genre.csv").is_file()
    ended = subprocess.run(
        [python, "-m", "motionbeat", "report"],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "report" / "assets" / "report.css").is_file()
    where = subprocess.run(
        [python, "-c", "import motionbeat; print(motionbeat.__file__)"],
        cwd=tmp_path, env=clean, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "environment" in where.stdout
