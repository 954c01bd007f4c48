"""A server, a browser, and pages of it that must not complain."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

REPOSITORY = Path(__file__).resolve().parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]


class Server:
    """A running page with folders of its own."""

    def __init__(self, folder: Path):
        whole, small = os.environ.get("COSTATE_PROGRAM"), os.environ.get("COSTATE_PAGE")
        if not whole and not small:
            pytest.exit("COSTATE_PROGRAM or COSTATE_PAGE: expected the program to test", 2)
        self.learning = bool(whole)
        self.demos = folder / "datasets"
        if not self.demos.exists():
            self.demos.mkdir()
            for name in ("cart_pole", "point_mass"):
                shutil.copytree(REPOSITORY / "demos" / "data" / name, self.demos / name)
        whole_arguments = ["view", "--no-open", "--runs", str(folder / "runs")]
        arguments = [whole, *whole_arguments] if whole else [small]
        arguments += ["--demos", str(self.demos), "--port", "0"]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if not found:
            pytest.exit(f"{arguments[0]}: no address in its first line, {line!r}", 2)
        self.url = found[0].rstrip("/")

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=60)

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=60)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("page"))
    yield server
    server.close()


def launch(playwright):
    """The browser."""
    path = os.environ.get("COSTATE_CHROMIUM") or shutil.which("chromium")
    if not path:
        pytest.exit("no browser: install chromium or set COSTATE_CHROMIUM", 2)
    return playwright.chromium.launch(executable_path=path, args=FLAGS)


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, server):
    """Opens pages in windows of their own: `open_page(address, width=…, scheme=…)`. None may complain on its console."""
    complaints, contexts = [], []

    def listen(page):
        def said(message):
            if message.type in ("error", "warning"):
                complaints.append(f"{message.text} {message.location.get('url', '')}")

        page.on("console", said)
        page.on("pageerror", lambda e: complaints.append(str(e)))

    def opened(address="", width=1280, scheme="light", prepare=lambda page: None, **options):
        phone = {"has_touch": True, "is_mobile": True} if width < 600 else {}
        size = {"width": width, "height": 844 if width < 600 else 900}
        options = {"viewport": size, "color_scheme": scheme, "base_url": server.url, **phone, **options}
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        listen(page)
        prepare(page)
        page.goto("/" + address)
        return page

    opened.complaints = complaints
    yield opened
    for context in contexts:
        for page in context.pages:
            # It asks for nothing more before its answers are gone.
            page.goto("about:blank")
            page.unroute_all(behavior="wait")
        context.close()
    assert complaints == []
