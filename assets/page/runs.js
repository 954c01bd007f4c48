// Runs: the list with states and progress.
import { attempt, get, server } from "./api.js";
import { ago, fixed, h, table } from "./dom.js";

export const STATES = { running: "running", paused: "paused", done: "done", stopped: "stopped", failed: "failed" };

/** The last part of a path. */
export const folder = (path) => path.split(/[/\\]/).filter(Boolean).at(-1) ?? path;

/** What is said where there is no learning side. */
export const lite = () => [h("h1", {}, "Runs"), h("p", { class: "empty" },
  "This server records, replays and compares datasets; it cannot train. Start ", h("code", {}, "costate view"),
  " of an installation with libtorch to train and to watch runs.")];

/** Calls `work` every `ms` while the page is seen, until `signal` is aborted. */
export function poll(work, ms, signal) {
  const loop = async () => {
    if (signal.aborted) return;
    if (!document.hidden) await work();
    if (!signal.aborted) setTimeout(loop, ms);
  };
  setTimeout(loop, ms);
}

/** Iterations done of those planned, as a bar with words. */
export const progress = (run) => h("span", { class: "progress" },
  h("progress", { max: Math.max(run.planned, 1), value: run.iterations, "aria-label": "Iterations done" }),
  ` ${run.iterations} of ${run.planned}`);

export const state = (run) => h("span", { class: `state ${run.state}` }, STATES[run.state]);

export async function show(place, _name, _values, signal) {
  const hello = await server();
  if (!hello.learning) { place.replaceChildren(...lite()); return; }
  const body = h("div", {});
  let told;
  const update = (runs) => {
    if (signal.aborted || JSON.stringify(runs) === told) return;
    told = JSON.stringify(runs);
    const focused = body.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    body.replaceChildren(runs.length ? table("Runs", [
      ["name", (r) => h("a", { href: `#/runs/${encodeURIComponent(r.name)}` }, r.name)],
      ["state", state],
      ["progress", progress],
      ["algorithm", (r) => r.algo, "minor"],
      ["environment", (r) => r.env, "minor"],
      ["demonstrations", (r) => (r.demonstrations ? folder(r.demonstrations) : "–"), "minor"],
      ["score", (r) => fixed(r.score, 2), "n"],
      ["changed", (r) => ago(r.changed_s), "minor"],
    ], runs) : h("p", { class: "empty" }, "There is none yet. ", h("a", { href: "#/train" }, "Start a training"),
      " on a dataset, or use ", h("code", {}, "costate train"), "."));
    if (focused) body.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  };
  update(await get("/api/runs"));
  if (signal.aborted) return;
  place.replaceChildren(h("h1", {}, "Runs"),
    h("p", {}, "Runs in ", h("code", {}, hello.runs), ". Scores: 0 is random actions, 1 the expert."),
    h("div", { class: "row" }, h("a", { href: "#/train", class: "button main" }, "Start a training")), body);
  poll(async () => {
    const runs = await attempt(() => get("/api/runs"));
    if (runs) update(runs);
  }, 2000, signal);
}
