"""What every view owes its readers: names, contrast, room at small widths; and pictures of all of them."""

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from drive import leave, open_world, play, views
from learning import Learning
from playwright.sync_api import expect

VIEWS = views("cart_pole", "cart_pole", "cart_pole-gan-gcl", episode=4)


def check(page, name, width, scheme):
    folder = os.environ.get("COSTATE_PICTURES")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}-{width}-{scheme}.png")
    found = Axe().run(page).response["violations"]
    assert [(v["id"], [n["target"] for n in v["nodes"]]) for v in found] == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_views_can_be_read_and_used(open_page, width, scheme):
    page = open_page(width=width, scheme=scheme, prepare=Learning)
    for name, (address, heading) in VIEWS.items():
        page.goto("/" + address)
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(1200)
        check(page, name, width, scheme)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_sessions_can_be_read_and_used(open_page, width, scheme):
    page = open_page(width=width, scheme=scheme)
    open_world(page, "cart_pole", f"pictures-{width}-{scheme}")
    page.locator("canvas").focus()
    play(page)
    check(page, "session-paused", width, scheme)
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_have_count(1)
    page.get_by_text("Change keys and axes").click()
    check(page, "session-kept", width, scheme)
    leave(page)


def test_readers_who_want_less_motion_get_films_that_stand_still(open_page):
    page = open_page("#/datasets/cart_pole", reduced_motion="reduce")
    page.get_by_role("button", name="Replay episode 0").click()
    player = page.get_by_role("dialog")
    expect(player.get_by_role("button", name="Play")).to_be_visible()
    expect(player.get_by_text("step 0 of 500")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(player.get_by_text("step 1 of 500")).to_be_visible()


def test_the_whole_form_is_worked_by_keys_alone(open_page):
    page = open_page("#/record?env=cart_pole&dataset=keys")
    expect(page.get_by_role("heading", name="Record by hand")).to_be_visible()
    page.get_by_label("Environment", exact=True).focus()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Open the world":
            break
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_have_text("Ready")
    expect(page.locator("canvas")).to_be_focused()
    leave(page)
