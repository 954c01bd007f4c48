"""What a person does in a recording session."""

from playwright.sync_api import Page, expect


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
