"""Chromium for tests of pages, offline; and what a page must never do."""

import os
import shutil
from contextlib import contextmanager

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
REQUIRED = os.environ.get("MOTIONBEAT_BROWSER") == "required"
"""Set by CI, where tests without a browser fail."""

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--mute-audio",
)  # fmt: skip


@contextmanager
def launched():
    """A running Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser, address, width=1200, **options):
    """A page from disk without a network; at its end nothing was on the console or asked for."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, accept_downloads=True, offline=True, **options
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda one: one.url.startswith(("http", "ws")) and said.append(one.url))
    page.on("requestfailed", lambda one: said.append(f"failed: {one.url}"))
    page.goto(address)
    try:
        yield page
        assert page.evaluate("window.hit") is None, "a name became code"
        assert not said, said
    finally:
        context.close()
