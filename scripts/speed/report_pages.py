"""How fast the leaderboard of a large report loads and sorts in Chromium.

    python scripts/speed/report_pages.py --rows 5000

makes records by ``scripts/speed/tables.py``, a report of them, and prints seconds to make it, to
load its leaderboard and, for each column, milliseconds from a click to the drawn table.
"""

import shutil
import tempfile
import time
from pathlib import Path

from jsonargparse import auto_cli
from playwright.sync_api import sync_playwright
from tables import RUNS, make

from motionbeat.benchmarks.records import read_record
from motionbeat.benchmarks.report.web_report import report

FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
CLICK = """(head) => new Promise((done) => {
    const started = performance.now();
    head.click();
    const handled = performance.now() - started;
    requestAnimationFrame(() => setTimeout(() => done([handled, performance.now() - started])));
})"""


def main(rows: int = 5000, heads: int = 2) -> None:
    """Print the times.

    Args:
        rows: of all records.
        heads: rows that a record gives.
    """
    base = read_record(next(RUNS.rglob("logmel.json")))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        results, out = Path(folder) / "results", Path(folder) / "report"
        for number in range(rows // heads):
            make(results, number, base, 1)
        started = time.perf_counter()
        report(results, out)
        print(f"report of {rows} rows: {time.perf_counter() - started:.1f} s")
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page()
        started = time.perf_counter()
        page.goto(f"{(out / 'index.html').as_uri()}#head=all")
        page.wait_for_selector("#board tbody tr")
        print(f"loaded: {time.perf_counter() - started:.2f} s; {page.inner_text('#count')}")
        for place in range(page.locator("#board thead button").count()):
            head = page.locator("#board thead button").nth(place)
            title = head.inner_text().split("\n")[0]
            times = [head.evaluate(CLICK) for _ in range(5)]
            handled, drawn = (min(one) for one in zip(*times, strict=True))
            print(f"sorted by {title}: {handled:.0f} ms, drawn after {drawn:.0f} ms (best of 5)")
        browser.close()


if __name__ == "__main__":
    auto_cli(main)
