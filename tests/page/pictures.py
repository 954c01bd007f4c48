"""Pictures of every view of a running page, at two widths.

    target/release/costate view --port 8123 --no-open
    target/page/bin/python tests/page/pictures.py http://127.0.0.1:8123 assets/pictures/page \
        --env point_mass --dataset point_mass-hand --run point_mass-hand-gan-gcl-0

Those of the book show real recordings and runs; wide ones are light and narrow ones dark.
"""

import argparse
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from conftest import launch
from drive import chip, leave, open_world, views

SIZES = {"wide": (1280, 900, "light"), "phone": (390, 844, "dark")}
LONG_MS = 60_000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    for name in ("env", "dataset", "run"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = launch(playwright)
        for size, (width, height, scheme) in SIZES.items():
            page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme, base_url=args.url)
            for name, (address, _) in views(args.env, args.dataset, args.run).items():
                # What these two are for lies below the first screen, too.
                tall = size == "wide" and name in ("run", "compare")
                page.set_viewport_size({"width": width, "height": 1750 if tall else height})
                page.goto(f"/{address}")
                page.wait_for_load_state("networkidle")
                if name in ("run", "compare"):
                    expect(page.locator("canvas.stage").last).to_be_visible(timeout=LONG_MS)
                if name == "compare":
                    expect(page.get_by_role("img", name="Learned cost over").first).to_be_visible(timeout=LONG_MS)
                page.wait_for_timeout(2500)
                page.screenshot(path=args.folder / f"{name}-{size}.png")
            page.set_viewport_size({"width": width, "height": height})
            open_world(page, args.env, "pictures")
            page.get_by_label("Help of the expert").fill("0.8")
            page.locator("canvas").focus()
            page.keyboard.press("Space")
            expect(chip(page)).to_have_text("Recording", timeout=LONG_MS)
            page.wait_for_timeout(1500)
            page.screenshot(path=args.folder / f"session-{size}.png")
            page.keyboard.press("Space")
            page.keyboard.press("Backspace")
            leave(page)
        chromium.close()


if __name__ == "__main__":
    main()
