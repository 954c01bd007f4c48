"""What a person does in a recording session."""

from playwright.sync_api import Page, expect


def views(env: str, dataset: str, run: str, episode: int = 0):
    """Address and heading of every view but the session's, by name."""
    films = f"expert,run:{run},episode:{dataset}:{episode}"
    return {
        "record": (f"#/record?env={env}", "Record by hand"),
        "datasets": ("#/datasets", "Datasets"),
        "dataset": (f"#/datasets/{dataset}", dataset),
        "runs": ("#/runs", "Runs"),
        "run": (f"#/runs/{run}", run),
        "train": (f"#/train?dataset={dataset}", "Start a training"),
        "compare": (f"#/compare?env={env}&with={films}&cost={run}", "Compare"),
    }


def chip(page: Page):
    return page.locator(".chip")


def open_world(page: Page, env: str, dataset: str):
    page.goto(f"/#/record?env={env}&dataset={dataset}")
    page.get_by_role("button", name="Open the world").click()
    expect(chip(page)).to_have_text("Ready")


def play(page: Page, ms: int = 900):
    """Starts an episode by the keyboard, pushes left and right for a while, and pauses."""
    page.keyboard.press("Space")
    expect(chip(page)).to_have_text("Get ready")
    expect(chip(page)).to_have_text("Recording", timeout=6000)
    for key in ("ArrowRight", "ArrowLeft", "d"):
        page.keyboard.down(key)
        page.wait_for_timeout(ms / 6)
        page.keyboard.up(key)
        page.wait_for_timeout(ms / 6)
    page.keyboard.press("Space")
    expect(chip(page)).to_have_text("Paused")


def leave(page: Page):
    page.get_by_role("button", name="Leave").click()
    expect(page.get_by_role("heading", name="Record by hand")).to_be_visible()
