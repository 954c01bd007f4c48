// One run: how it learns, what its policy does, how to steer it.
import { attempt, get, path, post, query, report, server } from "./api.js";
import { button, fixed, h, note, rich, say } from "./dom.js";
import { Chart } from "./charts.js";
import { Player } from "./player.js";
import { folder, lite, poll, progress, state, STATES } from "./runs.js";

const EVERYTHING = 20; // polls between two that read all points again: evaluations may come late
const FILM = 4000; // ms between two films of the latest policy at least

// Curves by key, each with its points in order.
class Curves {
  constructor(place) {
    this.place = place;
    this.charts = new Map();
  }

  get last() {
    const ends = [...this.charts.values()].map((c) => c.points.at(-1)?.[0] ?? -1);
    return ends.length ? Math.max(...ends) : -1;
  }

  update(curves, whole) {
    for (const { key, title, unit, about, points, levels, range } of curves) {
      let entry = this.charts.get(key);
      if (!entry) {
        const chart = new Chart({ title, unit });
        const figure = h("figure", {}, h("h3", {}, title), chart.element, h("figcaption", {}, rich(about)));
        this.place.append(figure);
        this.charts.set(key, (entry = { chart, figure, points: [] }));
      }
      const first = points[0]?.[0] ?? Infinity;
      Object.assign(entry, { levels, bounds: range ?? undefined,
        points: whole ? points : [...entry.points.filter((p) => p[0] < first), ...points] });
    }
    // All on one axis, so that what happened at once stands in one place.
    const along = [0, Math.max(this.last, 1)];
    for (const { chart, figure, points, levels, bounds } of this.charts.values()) {
      chart.update(points, { range: along, levels, bounds });
      figure.hidden = !points.length;
    }
  }
}

// Buttons to steer, and why they do nothing.
function orders(view, give) {
  const { state: now, ours } = view;
  const live = now === "running" || now === "paused";
  const foreign = "Another process trains this run: stop it there.";
  const why = live && !ours ? foreign : now === "done" ? "All its iterations are done." : "";
  const one = (label, order, possible) => button(label, () => give(order), { disabled: !possible });
  return [
    one("Pause", "pause", now === "running" && ours),
    one("Resume", "resume", (now === "paused" && ours) || now === "stopped" || now === "failed"),
    one("Stop", "stop", live && ours),
    h("span", { class: "soft" }, why),
  ];
}

// What a policy is good for, once there is one.
const uses = ({ name, env, policy, cost }) => (policy ? [
  h("a", { class: "button", href: `#/compare${query({ env, with: `run:${name},expert`, cost: cost ? name : null })}` },
    "Compare with the expert"),
  h("a", { class: "button", href: `#/record${query({ env, run: name })}` }, "Correct it by hand"),
] : []);

const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));

function settings(view) {
  const copy = button("Copy", () => navigator.clipboard.writeText(view.command).then(() => note("Copied."), () =>
    note("The browser does not allow copying: select the text.")));
  return [
    h("h2", {}, "The same in a shell"), h("pre", {}, h("code", {}, view.command)), h("div", { class: "row" }, copy),
    h("details", {}, h("summary", {}, `Settings (${view.settings.length})`),
      h("div", { class: "scroll" }, h("table", { class: "config" }, h("tbody", {}, view.settings.map(([key, value]) =>
        h("tr", {}, h("th", { scope: "row" }, h("code", {}, key)), h("td", {}, shown(value)))))))),
  ];
}

const findings = (list) => (list.length ? [h("h2", {}, "Findings"), h("ul", { class: "findings" }, list.map((f) =>
  h("li", {}, h("strong", {}, f.name), h("p", {}, rich(f.means)), h("p", { class: "advice" }, rich(f.advice)))))] : []);

// Its latest policy at work: a newer one takes over when the film starts again.
class Latest {
  constructor(place, name) {
    Object.assign(this, { place, name, at: -1, asked: -Infinity, next: null });
    this.player = new Player({ onloop: () => this.#swap() });
  }

  async update(view, force) {
    if (!view.policy || this.asking || (!force && (view.iterations <= this.at || performance.now() - this.asked < FILM))) return;
    this.asking = true;
    this.asked = performance.now();
    const iterations = view.iterations;
    const film = await get(path("/api/runs", this.name, "film") + query({ seed: this.seed ?? 0 })).catch((e) => {
      // Told once: the next policy may do. Nor after the page was left.
      if (!this.failed && !this.player.closed) report(e);
      this.failed = true;
    });
    this.asking = false;
    if (!film || this.player.closed) return;
    this.failed = false;
    this.at = iterations;
    this.next = [film, `Policy after iteration ${iterations}`];
    if (!this.player.shown.length) {
      this.player.set([{ film, caption: this.next[1] }]);
      this.place.hidden = false;
      this.next = null;
      this.player.autoplay();
    } else if (!this.player.playing || force) this.#swap();
  }

  #swap() {
    if (!this.next) return;
    this.player.replace(0, ...this.next);
    this.next = null;
  }
}

export async function show(place, name, _values, signal) {
  if (!(await server()).learning) { place.replaceChildren(...lite()); return; }
  const whole = () => get(path("/api/runs", name));
  let view = await whole();
  if (signal.aborted) return;
  const line = h("p", { class: "subtitle" }), said = h("p", {}), steer = h("div", { class: "row", role: "group", "aria-label": "Steer the run" });
  const found = h("section", { "aria-live": "polite", hidden: true }), multiples = h("div", { class: "multiples" });
  const seed = h("input", { type: "number", min: 0, step: 1, value: 0, class: "short", "aria-label": "Seed of the start state",
    onchange: () => { latest.seed = Number(seed.value); latest.update(view, true); } });
  const playerPlace = h("section", { hidden: true }, h("h2", {}, "Latest policy"));
  const latest = new Latest(playerPlace, name);
  playerPlace.append(latest.player.element, h("label", { class: "row" }, "Start from seed ", seed));
  const nothing = h("p", { class: "empty" }, "No iteration is done yet; curves appear with the first one.");
  const curves = new Curves(multiples);
  const links = h("div", { class: "row" });
  const details = h("section", {});

  let told = "", toldFindings = "", toldUses, toldState;
  const update = (v, all) => {
    view = v;
    curves.update(v.curves, all);
    nothing.hidden = curves.last >= 0;
    line.replaceChildren(state(v), " ", progress(v), ` · ${v.algo} in ${v.env}`, v.demonstrations ? " from " : "",
      v.demonstrations ? h("span", { title: v.demonstrations }, folder(v.demonstrations)) : "", ` · seed ${v.seed}`, v.score == null ? "" : ` · score ${fixed(v.score, 2)}`);
    said.replaceChildren(...rich(v.said));
    const use = `${v.policy} ${v.cost}`;
    if (use !== toldUses) links.replaceChildren(...uses(v));
    toldUses = use;
    const now = `${v.state} ${v.ours}`;
    if (now !== told) {
      told = now;
      const focused = steer.contains(document.activeElement);
      steer.replaceChildren(...orders(v, give));
      if (focused) (steer.querySelector("button:not(:disabled)") ?? place).focus?.();
    }
    if (toldState && toldState !== v.state) say(`The run is ${STATES[v.state]}.`);
    toldState = v.state;
    const list = JSON.stringify(v.findings);
    if (list !== toldFindings) {
      toldFindings = list;
      found.hidden = !v.findings.length;
      found.replaceChildren(...findings(v.findings));
    }
    latest.update(v);
  };
  const give = async (order) => {
    const said = await attempt(() => post(path("/api/runs", name, "order"), { order }));
    if (said) update({ ...view, ...said, curves: [] });
  };
  place.replaceChildren(h("p", { class: "kind" }, h("a", { href: "#/runs" }, "Runs")), h("h1", {}, name), line, said, steer,
    h("div", { class: "overview" }, playerPlace, h("div", {}, found, links)), h("section", {}, h("h2", {}, "How it learns"), nothing, multiples), details);
  details.append(...settings(view));
  update(view, true);

  let polls = 0;
  const step = async () => {
    // What has ended changes only if it is resumed.
    polls += 1;
    const idle = view.state === "done" || view.state === "failed" || view.state === "stopped";
    if (idle && polls % 5) return;
    const all = polls % EVERYTHING === 0 || curves.last < 0;
    const v = await attempt(() => (all ? whole() : get(path("/api/runs", name) + query({ after: curves.last }))));
    if (v && !signal.aborted) update(v, all);
  };
  poll(step, 1000, signal);
  signal.addEventListener("abort", () => latest.player.close());
}
