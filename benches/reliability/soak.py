"""Hours of recording, training and use of the page, with random kills: memory stays flat, and what is left is whole.

    cargo xtask page    # once: makes target/page, with the browser's driver
    target/page/bin/python benches/reliability/soak.py target/release/costate --minutes 120

Five things go on side by side until the time is over:

- datasets are recorded, killed at random moments, resumed, and compared byte for byte with one that was left alone;
- runs are trained, killed, resumed, compared likewise, then evaluated, reported and exported, some of that killed too;
- one training goes on all the time, to be interrupted at the end;
- a page is used in a browser: episodes are driven and kept, windows closed in the middle of one, trainings started,
  paused, stopped, killed and resumed, every view visited; this server lives to the end;
- a second page's server is killed and started again while somebody drives.

The memory, threads and open files of the long training are sampled every 10 s, those of the first server and the memory
of its browser tab after every round of visits, once both have settled. Writes soak.json beside this file; exit code 0
when all is well, 1 otherwise.
"""

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "page"))

from conftest import launch  # noqa: E402
from drive import chip, leave, open_world, play, views  # noqa: E402
from playwright.sync_api import expect, sync_playwright  # noqa: E402

WORLDS = ["lq", "pendulum", "cart_pole", "point_maze"]
LEARN = ["--checkpoint-every", "2"]
TRAININGS = {
    "bc": "--set iterations=60",
    "flow-bc": "--set iterations=12",
    "gail": "--set iterations=8",
    "gan-gcl": "--set iterations=4 --set validation.policies=1 --set validation.iterations=3",
    "airl": "--set iterations=6",
    "iq-learn": "--set iterations=6 --set sac.gradient_steps=40 --set clone_steps=40 --set cost_steps=10",
    "sfm": "--set iterations=5",
}
EVERY = 10
# Between rounds, so that two cores have room for a browser.
REST = 10
# Growth from the second quarter's median to that of the last that is none: 5 %, and of each a few.
GROWTH = 1.05
SLACK = {"MiB": 4, "threads": 1, "files": 8, "nodes": 100, "listeners": 10}


def tree(folder):
    """Hashes of the files that must not differ: not those that tell times."""
    timed = re.compile(r"events\.out|\.lock$|\.jsonl$|state\.safetensors$|config\.json$|validation\.json$|^fresh-.*\.json$")
    files = (f for f in sorted(folder.rglob("*")) if f.is_file() and not timed.search(f.name))
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def memory(pid):
    """MiB resident, threads, open files; None when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        files = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    number = lambda key: int(re.search(rf"{key}:\s+(\d+)", status)[1])  # noqa: E731
    return number("VmRSS") / 1024, number("Threads"), files


def children(pid):
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in found for child in file.read_text().split()]


class Soak:
    def __init__(self, costate, folder, minutes):
        self.costate, self.folder, self.seconds = costate, folder, 60 * minutes
        self.began = time.monotonic()
        self.wrong, self.counts, self.samples = [], Counter(), {}
        self.lock = threading.Lock()

    def over(self):
        return time.monotonic() - self.began > self.seconds

    def count(self, what, n=1):
        with self.lock:
            self.counts[what] += n

    def complain(self, what):
        print(f"WRONG after {time.monotonic() - self.began:.0f} s: {what}", flush=True)
        with self.lock:
            self.wrong.append(what)

    def sample(self, name, values):
        with self.lock:
            self.samples.setdefault(name, []).append((time.monotonic() - self.began, *values))

    def run(self, line, codes=(0,)):
        done = subprocess.run([self.costate, "-q", *line.split()], cwd=self.folder, capture_output=True, text=True)
        if done.returncode not in codes or "panicked" in done.stderr:
            self.complain(f"costate {line}: exit code {done.returncode}: {done.stderr[-500:]}")
        return done

    def timed(self, line):
        began = time.monotonic()
        self.run(line)
        return time.monotonic() - began

    def killed(self, line, rng, whole):
        """Starts a command and kills it at a random moment; whether it came to that."""
        process = subprocess.Popen(
            [self.costate, "-q", *line.split()], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            _, error = process.communicate(timeout=whole * rng.uniform(0.02, 0.9))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.count("kills of commands")
            return True
        if process.returncode != 0:
            self.complain(f"costate {line}: exit code {process.returncode}: {error[-500:]}")
        return False

    def through(self, begin, resume, there, rng, whole):
        """Kills a command up to three times, and lets it end."""
        line = begin
        for _ in range(rng.randint(1, 3)):
            if not self.killed(line, rng, whole):
                return
            line = resume if (self.folder / there).exists() else begin
        self.run(line)

    def same(self, reference, found, what):
        expected, found = tree(self.folder / reference), tree(self.folder / found)
        different = [n for n in sorted(expected.keys() | found) if expected.get(n) != found.get(n)]
        if different:
            self.complain(f"{what}: {', '.join(different[:5])} differ")

    def record(self):
        rng, whole = random.Random("record"), {}
        while not self.over():
            world = rng.choice(WORLDS)
            # Metadata tells a dataset's name.
            cut, left_alone = f"cut/{world}", f"whole/{world}"
            line = f"record {world} -n 40 -o"
            if world not in whole:
                whole[world] = self.timed(f"{line} {left_alone}")
            self.through(f"{line} {cut}", f"record --resume -o {cut}", f"{cut}/meta.json", rng, whole[world])
            self.run(f"demos check {cut}")
            self.same(left_alone, cut, f"a recording of {world}")
            shutil.rmtree(self.folder / cut, ignore_errors=True)
            self.count("recordings compared")
            time.sleep(rng.uniform(0, REST))

    def train(self):
        rng, whole = random.Random("train"), {}
        self.run("record lq -n 5 -o demos")
        while not self.over():
            algo = rng.choice(list(TRAININGS))
            line = f"train demos --algo {algo} {TRAININGS[algo]} {' '.join(LEARN)} -o"
            if algo not in whole:
                whole[algo] = self.timed(f"{line} whole-{algo}")
            run = "cut-run"
            self.through(f"{line} {run}", f"train --resume -o {run}", f"{run}/config.json", rng, whole[algo])
            self.same(f"whole-{algo}", run, f"a run of {algo}")
            for line, seconds in ((f"evaluate {run} -n 2 --no-robustness", 2), (f"report {run}", 2), (f"export {run} --to onnx -o out", 1)):
                if rng.random() < 0.5:
                    self.killed(line, rng, seconds)
                if line.startswith("export"):
                    shutil.rmtree(self.folder / "out", ignore_errors=True)
                self.run(line)
            shutil.rmtree(self.folder / run, ignore_errors=True)
            self.count("trainings compared")
            time.sleep(rng.uniform(0, REST))

    def steady(self):
        """One training all the time."""
        self.run("record pendulum -n 10 -o swings")
        line = "train swings --algo gail --set iterations=1000000 --workers 1 -o steady"
        words = ["nice", "-n", "19", self.costate, "-q", *line.split()]
        process = subprocess.Popen(words, cwd=self.folder, stdout=subprocess.DEVNULL)
        while not self.over():
            time.sleep(EVERY)
            found = memory(process.pid)
            if found is None or process.poll() is not None:
                return self.complain(f"the long training ended by itself with {process.poll()}")
            self.sample("training", found)
        process.send_signal(signal.SIGINT)
        if process.wait(timeout=300) != 1:
            self.complain(f"the long training, interrupted, ended with {process.returncode}")
        metrics = (self.folder / "steady/metrics.jsonl").read_text().splitlines()
        self.count("iterations of the long training", len(metrics))
        self.run("diagnose steady", codes=(0, 1))
        self.run("evaluate steady -n 2 --no-robustness")
        self.run(f"train --resume -o steady --set iterations={len(metrics) + 2}")

    def server(self, name):
        runs, demos = self.folder / f"{name}-runs", self.folder / f"{name}-datasets"
        for folder in (runs, demos):
            folder.mkdir(exist_ok=True)
        words = ["view", "--no-open", "--runs", str(runs), "--demos", str(demos), "--port", "0"]
        process = subprocess.Popen([self.costate, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        url = re.search(r"http://\S+", process.stdout.readline())[0].rstrip("/")
        threading.Thread(target=process.stdout.read, daemon=True).start()
        return process, url

    def episodes(self, name, dataset):
        file = self.folder / f"{name}-datasets" / dataset / "meta.json"
        return len(json.loads(file.read_text())["episodes"]) if file.exists() else 0

    def keep(self, page, name, dataset, kept):
        """Drives an episode and keeps it; what the page showed as kept is on disk."""
        open_world(page, "cart_pole", dataset)
        page.locator("canvas").focus()
        play(page, ms=3000)
        cards = page.locator(".card").count()
        page.keyboard.press("Enter")
        expect(page.locator(".card")).to_have_count(cards + 1, timeout=20000)
        kept[dataset] += 1
        self.count("episodes driven and kept")
        if self.episodes(name, dataset) < kept[dataset]:
            self.complain(f"{name}: an episode that was kept is not on disk")

    def browse(self):
        """The page that lives to the end."""
        rng, kept = random.Random("browse"), Counter()
        process, url = self.server("page")
        ask = lambda path, body=None: request(url + path, body)  # noqa: E731
        with sync_playwright() as playwright:
            browser = launch(playwright)
            long_lived = browser.new_context(base_url=url).new_page()
            tab = long_lived.context.new_cdp_session(long_lived)
            tab.send("Performance.enable")
            cycle = 0
            while not self.over():
                dataset, name = f"hands-{cycle % 6}", f"run-{cycle % 4}"
                try:
                    self.visit(rng, browser, long_lived, url, dataset, kept)
                    self.steer(rng, ask, process.pid, dataset, name)
                    for address, _ in views("cart_pole", dataset, name).values():
                        long_lived.goto("/" + address)
                        long_lived.wait_for_timeout(500)
                except Exception:
                    self.complain(f"page, cycle {cycle}: {traceback.format_exc()[-1500:]}")
                    if process.poll() is not None:
                        return
                cycle += 1
                self.count("rounds of the page")
                long_lived.goto("/#/runs")
                expect(long_lived.get_by_role("heading", name="Runs")).to_be_visible()
                # The view before it, which shows more the more there is, is let go; threads end that were idle for 10 s.
                long_lived.wait_for_timeout(12_000)
                for _ in range(2):
                    tab.send("HeapProfiler.collectGarbage")
                self.sample("page's server", memory(process.pid))
                values = {m["name"]: m["value"] for m in tab.send("Performance.getMetrics")["metrics"]}
                self.sample("browser's tab", (values["JSHeapUsedSize"] / 2**20, values["Nodes"], values["JSEventListeners"]))
            browser.close()
        self.end(process, "page", kept)
        for run in (self.folder / "page-runs").iterdir():
            self.run(f"diagnose {run}", codes=(0, 1))
            self.run(f"train --resume -o {run}")
            self.run(f"report {run}")
            self.count("runs of the page, whole at the end")

    def visit(self, rng, browser, long_lived, url, dataset, kept):
        self.keep(long_lived, "page", dataset, kept)
        leave(long_lived)
        if rng.random() < 0.3:
            # A window that is closed in the middle of an episode.
            other = browser.new_context(base_url=url)
            page = other.new_page()
            open_world(page, "point_mass", f"left-{self.counts['windows closed while driving']}")
            page.locator("canvas").focus()
            page.keyboard.press("Space")
            page.wait_for_timeout(rng.uniform(500, 6000))
            other.close()
            self.count("windows closed while driving")

    def steer(self, rng, ask, server, dataset, name):
        """Starts a training by the page, treats it badly, and lets it end."""
        state = lambda: ask(f"/api/runs/{name}")["state"]  # noqa: E731
        shutil.rmtree(self.folder / "page-runs" / name, ignore_errors=True)
        settings = [["iterations", rng.choice([3, 6])], ["trajectories", 4], ["validation.policies", 0]]
        body = {"dataset": dataset, "name": name, "algo": "gan-gcl", "seed": rng.randint(0, 9), "settings": settings}
        ask("/api/train", body)
        for _ in range(rng.randint(0, 3)):
            time.sleep(rng.uniform(0, 3))
            deed = rng.choice(["pause", "stop", "kill"])
            if deed == "kill":
                for child in children(server):
                    os.kill(child, signal.SIGKILL)
                    self.count("trainings of the page killed")
            else:
                ask(f"/api/runs/{name}/order", {"order": deed})
                self.count("orders")
            time.sleep(0.5)
            if deed == "stop":
                until(lambda: state() != "running", 300)
            if state() != "done":
                ask(f"/api/runs/{name}/order", {"order": "resume"})
        until(lambda: state() != "running", 300)
        if state() != "done":
            ask(f"/api/runs/{name}/order", {"order": "resume"})
            until(lambda: state() == "done", 300)
        if state() != "done":
            self.complain(f"{name} does not come to its end: {state()}")
        self.count("trainings by the page")

    def harass(self):
        """The page whose server is killed."""
        rng, kept = random.Random("harass"), Counter()
        with sync_playwright() as playwright:
            browser = launch(playwright)
            while not self.over():
                process, url = self.server("killed")
                context = browser.new_context(base_url=url)
                page = context.new_page()
                dataset = f"hands-{rng.randint(0, 2)}"
                try:
                    for _ in range(rng.randint(0, 1)):
                        self.keep(page, "killed", dataset, kept)
                        leave(page)
                    open_world(page, "cart_pole", dataset)
                    page.locator("canvas").focus()
                    page.keyboard.press("Space")
                    page.wait_for_timeout(rng.uniform(100, 6000))
                    if rng.random() < 0.5:
                        page.keyboard.press("Space")
                        page.keyboard.press("Enter")
                        page.wait_for_timeout(rng.uniform(0, 60))
                except Exception:
                    self.complain(f"the killed page: {traceback.format_exc()[-1500:]}")
                process.kill()
                process.wait()
                self.count("kills of the page's server")
                context.close()
                self.run(f"demos check killed-datasets/{dataset}") if self.episodes("killed", dataset) else None
                time.sleep(rng.uniform(5, 30))
            browser.close()
        process, _ = self.server("killed")
        self.end(process, "killed", kept)

    def end(self, process, name, kept):
        process.terminate()
        if process.wait(timeout=60) not in (0, 130, 143):
            self.complain(f"{name}: the server ended with {process.returncode}")
        for dataset in sorted((self.folder / f"{name}-datasets").iterdir()):
            if self.episodes(name, dataset.name) < kept[dataset.name]:
                self.complain(f"{name}: {dataset.name} has lost episodes")
            if self.episodes(name, dataset.name):
                self.run(f"demos check {dataset}", codes=(0, 1) if dataset.name.startswith("left") else (0,))
                self.count("datasets of the page, whole at the end")

    def flat(self):
        """What the samples say; the first quarter is for caches to fill."""
        verdicts = {}
        for name, rows in self.samples.items():
            quarter = lambda i: [r for r in rows if i <= 4 * r[0] / self.seconds < i + 1]  # noqa: E731
            early, late = quarter(1), quarter(3)
            if not early or not late:
                self.complain(f"{name}: too few samples")
                continue
            median = lambda rows, k: statistics.median(r[k] for r in rows)  # noqa: E731
            labels = ["MiB", "nodes", "listeners"] if "tab" in name else ["MiB", "threads", "files"]
            verdicts[name] = {"samples": len(rows), "peak MiB": round(max(r[1] for r in rows), 1)}
            verdicts[name]["some: seconds, " + ", ".join(labels)] = [
                " ".join(f"{v:.0f}" for v in row) for row in rows[:: -(-len(rows) // 60)]
            ]
            for k, label in enumerate(labels, 1):
                before, after = median(early, k), median(late, k)
                verdicts[name][label] = [round(before, 1), round(after, 1)]
                if after > GROWTH * before + SLACK[label]:
                    self.complain(f"{name}: {label} grew from {before:.1f} to {after:.1f}")
        return verdicts

    def go(self):
        deeds = [self.record, self.train, self.steady, self.browse, self.harass]

        def guarded(deed):
            try:
                deed()
            except Exception:
                self.complain(f"{deed.__name__}: {traceback.format_exc()[-1500:]}")

        threads = [threading.Thread(target=guarded, args=(deed,), daemon=True) for deed in deeds]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(min(60, self.seconds / 4))
            with self.lock:
                last = {name: round(rows[-1][1], 1) for name, rows in self.samples.items()}
                print(f"{time.monotonic() - self.began:.0f} s {dict(self.counts)} MiB {last} wrong {len(self.wrong)}", flush=True)


def request(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.loads(answer.read() or "null")
    except urllib.error.HTTPError as refusal:
        # An order that comes while a run stops or ends is refused, rightly.
        if url.endswith("/order") and refusal.code in (400, 409):
            return None
        raise RuntimeError(f"{url}: {refusal.code} {refusal.read()[:300]}") from refusal


def until(holds, seconds):
    began = time.monotonic()
    while not holds() and time.monotonic() - began < seconds:
        time.sleep(0.3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("costate", help="the program")
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "soak.json")
    options = parser.parse_args()
    expect.set_options(timeout=30_000)
    with tempfile.TemporaryDirectory(prefix="costate-soak-") as folder:
        soak = Soak(os.path.abspath(options.costate), Path(folder), options.minutes)
        soak.go()
        verdicts = soak.flat()
        figures = {"minutes": options.minutes, "counts": dict(soak.counts), "memory": verdicts, "wrong": soak.wrong}
        options.output.write_text(json.dumps(figures, indent=2) + "\n")
        print(json.dumps(figures, indent=2), flush=True)
    sys.exit(1 if soak.wrong else 0)


if __name__ == "__main__":
    main()
