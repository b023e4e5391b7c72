"""A served viewer and a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.evals.running import PATIENCE, start

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Served:
    """A `tora view` process."""

    process: subprocess.Popen[str]
    address: str
    """With the token."""

    @property
    def base(self) -> str:
        """The address without path and token."""
        return self.address.partition("/?")[0]

    @property
    def token(self) -> str:
        return self.address.partition("token=")[2]


@contextmanager
def viewing(folder: Path, *runs: Path) -> Iterator[Served]:
    """`tora view` of `runs`, run in `folder`, until the end."""
    with start(folder, "view", "--port", "0", *runs) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        found = re.search(r"http://\S+", first)
        assert found, first + process.communicate()[1]
        try:
            yield Served(process, found.group())
        finally:
            process.terminate()
            process.wait(PATIENCE)


@contextmanager
def browsing() -> Iterator[Browser]:
    """The machine's Chromium; skips where there is none."""
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("there is no Chromium here; `make test` installs it where it can (scripts/browser.sh)")
    with (
        sync_playwright() as tools,
        tools.chromium.launch(executable_path=path, args=["--no-sandbox"], timeout=1000 * PATIENCE) as browser,
    ):
        yield browser


@dataclass
class Watched:
    """A page of the browser, and what went wrong on it."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Addresses that were asked for."""

    def __post_init__(self) -> None:
        self.page.set_default_timeout(1000 * PATIENCE)
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, address: str) -> Page:
        self.page.goto(address)
        return self.page

    @contextmanager
    def leaving(self, pattern: str) -> Iterator[None]:
        """What is done within leads to another page: wait until that, of an address like `pattern`, is loaded.

        An element of the new page can be there before its style sheet is, so waiting for one is not enough.
        """
        with self.page.expect_navigation(url=pattern):
            yield
