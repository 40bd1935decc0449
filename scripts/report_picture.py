"""The picture of the report in the README: the leaderboard of the committed records.

    python scripts/report_picture.py

makes a report in a folder that is thrown away, opens it in Chromium and draws
``results/report.png``.
"""

import shutil
import tempfile
from pathlib import Path

from jsonargparse import auto_cli
from PIL import Image

from motionbeat.benchmarks.report.web_report import report
from motionbeat.console import say
from motionbeat.errors import MotionBeatError
from motionbeat.files import replacing

FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
SIZE = {"width": 1200, "height": 760}
COLOURS = 128


class BrowserError(MotionBeatError):
    """There is no browser to draw with."""


def report_picture(results: Path = Path("results")) -> None:
    """Draw the leaderboard of a report.

    Args:
        results: folder with the records, and for the picture.
    """
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise BrowserError("no chromium; install it, for example by: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        report(results, Path(folder) / "report")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto((Path(folder) / "report" / "index.html").as_uri())
        page.wait_for_selector("#board tbody tr")
        with replacing(results / "report.png") as unfinished:
            page.screenshot(path=unfinished, type="png")
            with Image.open(unfinished) as picture:
                small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
            small.save(unfinished, format="PNG", optimize=True)
        browser.close()
    say(f"{results / 'report.png'}: {SIZE['width']} x {SIZE['height']} pixels")


if __name__ == "__main__":
    auto_cli(report_picture, as_positional=False)
