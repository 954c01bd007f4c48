"""Runs, trainings and comparisons, and what a server without them shows."""

import pytest
from learning import Learning
from playwright.sync_api import expect


def without_learning(page):
    """Whatever the server can do, to this page it says that it cannot train."""
    page.route("**/api/hello", lambda route: route.fulfill(json={**route.fetch().json(), "learning": False}))


def test_without_learning_there_are_no_runs(open_page):
    page = open_page("#/runs", prepare=without_learning)
    expect(page.get_by_role("navigation").get_by_role("link")).to_have_text(["Record", "Datasets", "Compare"])
    expect(page.get_by_text("it cannot train")).to_be_visible()
    page.goto("/#/datasets/cart_pole")
    expect(page.get_by_role("link", name="Record more")).to_be_visible()
    assert page.get_by_role("link", name="Train on this").count() == 0


def test_a_run_is_watched_and_steered(open_page):
    side = []
    page = open_page("#/runs", prepare=lambda p: side.append(Learning(p)))
    page.get_by_role("link", name="cart_pole-gan-gcl").click()
    expect(page.get_by_role("heading", name="True return")).to_be_visible()
    expect(page.get_by_text("random actions")).to_be_visible()
    expect(page.get_by_text("narrow demonstrations")).to_be_visible()
    expect(page.get_by_text("Policy after iteration")).to_be_visible()
    # Later polls ask only for what is new, and the curve keeps what it had.
    page.wait_for_timeout(2500)
    assert any(query.startswith("after=") for _, query in side[0].asked)
    chart = page.get_by_role("img", name="True return")
    chart.focus()
    page.keyboard.press("Home")
    expect(page.get_by_text("iteration 0: −500")).to_be_visible()

    steer = page.get_by_role("group", name="Steer the run")
    expect(steer.get_by_role("button", name="Resume")).to_be_disabled()
    steer.get_by_role("button", name="Pause").click()
    expect(page.locator(".state.paused")).to_be_visible()
    steer.get_by_role("button", name="Resume").click()
    steer.get_by_role("button", name="Stop").click()
    expect(page.locator(".state.stopped")).to_be_visible()
    assert side[0].orders == ["pause", "resume", "stop"]

    page.goto("/#/runs/elsewhere")
    expect(steer.get_by_role("button", name="Pause")).to_be_disabled()
    expect(page.get_by_text("Another process trains this run")).to_be_visible()


# How many of what ends with an `AbortSignal` watch a property of the device, and those that never end.
WATCHING = """
    const add = MediaQueryList.prototype.addEventListener;
    window.watching = 0;
    MediaQueryList.prototype.addEventListener = function (type, work, options) {
      window.watching += 1;
      options?.signal?.addEventListener("abort", () => { window.watching -= 1; });
      return add.call(this, type, work, options);
    };
"""


def test_a_film_that_comes_after_its_page_was_left_is_dropped(open_page, server):
    held = []

    class Slow(Learning):
        def answer(self, route):
            return held.append(route) if "/film" in route.request.url else super().answer(route)

    page = open_page("#/runs", prepare=lambda p: (p.add_init_script(WATCHING), Slow(p)))
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    before = page.evaluate("watching")
    with page.expect_request("**/film**"):
        page.get_by_role("link", name="cart_pole-gan-gcl").click()
    expect(page.get_by_role("heading", name="True return")).to_be_visible()
    page.goto("/#/runs")
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    film = page.request.get(f"{server.url}/api/environments/cart_pole/film").json()
    with page.expect_response("**/film**"):
        held[0].fulfill(json=film)
    page.wait_for_timeout(500)
    assert page.evaluate("watching") == before


def test_a_training_is_started_with_checked_settings(open_page):
    side = []
    page = open_page("#/train?dataset=cart_pole", prepare=lambda p: side.append(Learning(p)))
    name = page.get_by_label("Name of the run")
    expect(name).to_have_value("cart_pole-gan-gcl")
    rate = page.get_by_label("learning_rate", exact=True)
    rate.fill("2")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("A number from 0 to 1 was expected.")).to_be_visible()
    expect(rate).to_be_focused()
    assert side[0].trained == []
    rate.fill("0.01")
    page.get_by_text("All settings (2 more)").click()
    page.get_by_label("policy.std_form").select_option(label="network")
    page.get_by_role("button", name="Start").click()
    # The name is taken: the server says so, and the form stays as it is.
    expect(page.get_by_role("alert").filter(has_text="choose another name")).to_be_visible()
    name.fill("second")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", name="second")).to_be_visible()
    assert side[0].trained == [{"dataset": "cart_pole", "name": "second", "algo": "gan-gcl", "seed": 0,
                                "settings": [["learning_rate", 0.01], ["policy.std_form", "network"]]}]
    open_page.complaints[:] = [c for c in open_page.complaints if "409" not in c]


def test_expert_episode_and_policy_side_by_side_under_a_learned_cost(open_page):
    page = open_page("#/compare?env=cart_pole", prepare=Learning)
    page.get_by_role("button", name="Add expert").click()
    page.get_by_label("Episode number").fill("4")
    page.get_by_role("button", name="Add episode").click()
    page.get_by_role("button", name="Add policy").click()
    page.get_by_label("Learned cost", exact=True).select_option("cart_pole-gan-gcl")
    expect(page.locator("figure canvas.stage")).to_have_count(3)
    row = page.get_by_role("row").filter(has_text="cart_pole, episode 4")
    expect(row).to_contain_text("500")
    expect(page.get_by_role("img", name="Learned cost over position (m) and velocity (m/s)")).to_be_visible()
    page.get_by_label("Channels").select_option("1")
    expect(page.get_by_role("img", name="Learned cost over position (m) and angle (rad)")).to_be_visible()
    # One clock moves all of them.
    page.get_by_role("button", name="Pause").click()
    page.get_by_label("Time").focus()
    page.keyboard.press("End")
    expect(page.get_by_text("step 500 of 500")).to_have_count(3)
    page.get_by_role("button", name="Remove expert").click()
    expect(page.locator("figure canvas.stage")).to_have_count(2)


def test_clicks_that_come_before_the_next_view_add_up(open_page):
    page = open_page("#/compare?env=cart_pole", prepare=without_learning)
    expect(page.get_by_role("button", name="Add expert")).to_be_visible()
    page.evaluate("for (const what of ['expert', 'episode']) document.querySelector(`[aria-label='Add ${what}']`).click()")
    expect(page.locator("figure canvas.stage")).to_have_count(2)


def test_comparisons_work_without_learning(open_page):
    page = open_page("#/compare?env=cart_pole&with=expert,episode:cart_pole:0", prepare=without_learning)
    expect(page.locator("figure canvas.stage")).to_have_count(2)
    expect(page.get_by_text("True cost of a step").first).to_be_visible()
    page.get_by_label("World of the expert").select_option("long_pole")
    page.get_by_role("button", name="Add expert").click()
    expect(page.locator("figure canvas.stage")).to_have_count(3)
    expect(page.get_by_role("row").filter(has_text="in long_pole")).to_contain_text("yes")


def test_a_policy_is_trained_watched_compared_and_corrected_by_hand(open_page, server):
    if not server.learning:
        pytest.skip("costate-page does not train")
    page = open_page("#/train?dataset=cart_pole")
    page.get_by_role("radio", name="bc behaviour cloning").check()
    page.get_by_label("Name of the run").fill("by-page")
    page.get_by_label("iterations", exact=True).fill("5")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", name="by-page")).to_be_visible(timeout=20000)
    expect(page.locator(".state.done")).to_be_visible(timeout=90000)
    expect(page.get_by_text("Policy after iteration 5")).to_be_visible(timeout=20000)
    expect(page.locator("svg.plot").first).to_be_visible()
    expect(page.locator("pre")).to_contain_text("costate train")

    page.get_by_role("link", name="Compare with the expert").click()
    expect(page.locator("figure canvas.stage")).to_have_count(2)
    expect(page.get_by_role("row").filter(has_text="policy of by-page")).to_be_visible()

    page.goto("/#/record?env=cart_pole&run=by-page&dataset=corrections")
    page.get_by_role("button", name="Open the world").click()
    chip = page.locator(".chip")
    expect(chip).to_have_text("Ready")
    page.keyboard.press("Space")
    expect(chip).to_have_text("Recording – the policy drives", timeout=6000)
    expect(page.get_by_role("button", name="Keep")).to_be_disabled()
    page.keyboard.press("x")
    expect(chip).to_have_text("Recording – you drive")
    page.wait_for_timeout(300)
    page.keyboard.press("Space")
    expect(chip).to_have_text("Paused")
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_have_count(1)
    page.get_by_role("button", name="Leave").click()
