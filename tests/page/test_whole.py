"""From hands to a policy: recorded, trained, watched and compared, with nothing made up."""

import json
import re

import pytest
from drive import play
from playwright.sync_api import expect

SLOW = 120_000


@pytest.fixture(autouse=True)
def trains(server):
    if not server.learning:
        pytest.skip("costate-page does not train")


def test_a_policy_is_learned_from_hands_and_compared(open_page, server):
    page = open_page()
    page.goto("/#/record?env=cart_pole&dataset=from-hands")
    page.get_by_role("button", name="Open the world").click()
    expect(page.locator(".chip")).to_have_text("Ready", timeout=SLOW)
    for _ in range(2):
        play(page, ms=1800)
        page.get_by_role("button", name="Keep").click()
        expect(page.locator(".chip")).to_have_text("Ready")
    expect(page.locator(".card")).to_have_count(2)
    page.get_by_role("button", name="Leave").click()

    for algo in ("bc", "gan-gcl"):
        page.goto("/#/train?dataset=from-hands")
        page.get_by_role("radio", name=re.compile(f"^{algo} ")).check()
        page.get_by_label("Name of the run").fill(f"hand-{algo}")
        page.get_by_text("All settings").click()
        few = {"bc": {"iterations": 60}, "gan-gcl": {"iterations": 3, "trajectories": 4, "validation.policies": 0}}
        for key, value in few[algo].items():
            page.get_by_label(key, exact=True).fill(str(value))
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_role("heading", name=f"hand-{algo}")).to_be_visible(timeout=SLOW)
        expect(page.locator(".state.done")).to_be_visible(timeout=SLOW)
        # Clones have no rollouts, and so no return; every run has curves.
        expect(page.locator("svg.plot").first).to_be_visible()
    config = json.loads((server.demos.parent / "runs" / "hand-gan-gcl" / "config.json").read_text())
    assert "from-hands" in json.dumps(config)

    films = "expert,run:hand-bc,run:hand-gan-gcl,episode:from-hands:0"
    page.goto(f"/#/compare?env=cart_pole&with={films}&cost=hand-gan-gcl")
    expect(page.locator("figure canvas.stage")).to_have_count(4, timeout=SLOW)
    expect(page.get_by_role("img", name=re.compile("^Learned cost over "))).to_be_visible(timeout=SLOW)


def test_a_live_run_is_watched_paused_stopped_and_resumed(open_page, server):
    page = open_page()
    page.goto("/#/train?dataset=cart_pole")
    page.get_by_role("radio", name=re.compile("^gan-gcl ")).check()
    page.get_by_label("Name of the run").fill("live")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", name="live")).to_be_visible(timeout=SLOW)
    steer = page.get_by_role("group", name="Steer the run")
    expect(page.locator(".state.running")).to_be_visible(timeout=SLOW)
    steer.get_by_role("button", name="Pause").click()
    expect(page.locator(".state.paused")).to_be_visible(timeout=SLOW)
    steer.get_by_role("button", name="Resume").click()
    expect(page.locator(".state.running")).to_be_visible(timeout=SLOW)
    # Its policy plays while it learns.
    expect(page.get_by_text("Policy after iteration")).to_be_visible(timeout=SLOW)
    steer.get_by_role("button", name="Stop").click()
    expect(page.locator(".state.stopped")).to_be_visible(timeout=SLOW)
