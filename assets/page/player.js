// Plays one or several films on one clock.
import { button, calm, check, fixed, h, number, select } from "./dom.js";
import { Stage, between, betweenViews, trailOf } from "./stage.js";

const HOLD = 1; // seconds at the end before it starts again

/** Seconds that a film takes. */
export const seconds = (film) => (film.frames.length - 1) * film.period_s;

/** Where a time falls in a film: the frame before it and the share of the way to the next. */
export function place(film, time) {
  const last = film.frames.length - 1;
  const at = Math.min(Math.max(time / film.period_s, 0), last);
  const i = Math.min(Math.floor(at + 1e-9), Math.max(last - 1, 0));
  return [i, Math.max(at - i, 0)];
}

export class Player {
  /**
   * `trails`: whether trails are shown at first. `loop`: whether it starts again at the end. `ontime(time)`: after every
   * change of time. `onloop()`: before it starts again.
   */
  constructor({ trails = true, loop = true, ontime, onloop } = {}) {
    Object.assign(this, { ontime, onloop, time: 0, end: 0, playing: false, shown: [] });
    this.stages = h("div", { class: "stages" });
    this.toggle = button("Play", () => this.run(!this.playing), { class: "play" });
    this.seek = h("input", { type: "range", min: 0, step: "any", "aria-label": "Time",
      oninput: () => { this.run(false); this.to(Number(this.seek.value)); } });
    this.clock = h("output", { class: "clock" });
    this.speed = select([[0.1, "0.1×"], [0.25, "0.25×"], [0.5, "0.5×"], [1, "1×"], [2, "2×"], [4, "4×"]], 1,
      { "aria-label": "Speed" });
    this.loop = check("Loop", { checked: loop }).box;
    this.trails = check("Trails", { checked: trails, onchange: () => this.show() }).box;
    const controls = h("div", { class: "controls" }, this.toggle,
      button("◀", () => this.step(-1), { "aria-label": "One step back" }),
      button("▶", () => this.step(1), { "aria-label": "One step on" }),
      this.seek, this.clock, this.speed, this.loop.parentNode, this.trails.parentNode);
    this.element = h("div", { class: "player", tabindex: -1, onkeydown: (e) => this.#key(e) }, this.stages, controls);
  }

  /** Shows films: `[{ film, caption, colour }]`, the colour a token such as `s1`. Keeps the time. Not once it is closed. */
  set(items) {
    // A stage made now would watch the page for ever.
    if (this.closed) return;
    this.shown.forEach(({ stage }) => stage.close());
    this.shown = items.map(({ film, caption, colour }, index) => {
      const stage = new Stage(caption);
      const told = h("span", { class: "told" });
      const foot = h("div", { class: "foot" });
      const figure = h("figure", {}, h("figcaption", {}, colour && h("span", { class: `key ${colour}` }), caption),
        stage.canvas, told, foot);
      const item = { stage, told, foot, figure, index };
      this.#film(item, film);
      return item;
    });
    this.stages.replaceChildren(...this.shown.map((s) => s.figure));
    this.#length();
  }

  /** Replaces a film by a newer one of the same thing. */
  replace(index, film, caption) {
    const item = this.shown[index];
    this.#film(item, film);
    if (caption) {
      item.stage.canvas.setAttribute("aria-label", caption);
      item.figure.querySelector("figcaption").lastChild.textContent = caption;
    }
    this.#length();
  }

  /** Plays by itself, unless the reader asked for less motion. */
  autoplay() {
    if (!calm.matches) this.run(true);
  }

  run(go) {
    if (go === this.playing || (go && !this.end)) return;
    this.playing = go;
    this.toggle.textContent = go ? "Pause" : "Play";
    if (!go) return;
    if (this.time >= this.end) this.time = 0;
    let before = performance.now();
    const tick = (now) => {
      if (!this.playing) return;
      // Off the page, nothing is left to play to.
      if (!this.element.isConnected) { this.run(false); return; }
      this.time += (Math.min(Math.max(now - before, 0), 100) / 1000) * Number(this.speed.value);
      before = now;
      if (this.time > this.end && !this.loop.checked) this.run(false);
      if (this.time > this.end + HOLD * Number(this.speed.value)) {
        this.onloop?.();
        this.time = 0;
      }
      this.show();
      if (this.playing) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  to(time) {
    this.time = Math.min(Math.max(time, 0), this.end);
    this.show();
  }

  step(by) {
    this.run(false);
    const period = Math.min(...this.shown.map((s) => s.film.period_s));
    this.to((Math.round(Math.min(this.time, this.end) / period) + by) * period);
  }

  close() {
    this.closed = true;
    this.run(false);
    this.shown.forEach(({ stage }) => stage.close());
  }

  show() {
    const time = Math.min(this.time, this.end);
    for (const { film, stage, trail, told, sums } of this.shown) {
      const [i, f] = place(film, time);
      const { frames, views } = film;
      const next = Math.min(i + 1, frames.length - 1);
      const view = views.length > 1 ? betweenViews(views[i], views[next], f) : this.view;
      stage.draw(between(frames[i], frames[next], f), view, this.trails.checked ? trail : undefined);
      const step = Math.min(Math.floor(i + f + 1e-6), frames.length - 1);
      told.textContent = `step ${step} of ${frames.length - 1}, return so far ${number(-sums[step])}`;
    }
    this.seek.value = time;
    this.clock.textContent = `${fixed(time, 2)} s`;
    this.seek.setAttribute("aria-valuetext", `${fixed(time, 1)} seconds`);
    this.ontime?.(time);
  }

  #film(item, film) {
    const sums = [0];
    film.costs.forEach((c, t) => sums.push(sums[t] + c));
    Object.assign(item, { film, trail: trailOf(film), sums });
    item.stage.backdrop = film.backdrop;
  }

  #length() {
    // Cameras that stand still show the same part of the world, so that films can be compared.
    const still = this.shown.filter((s) => s.film.views.length === 1).map((s) => s.film.views[0]);
    this.view = [Math.min, Math.min, Math.max, Math.max].map((pick, i) => pick(...still.map((v) => v[i])));
    for (const { film, stage } of this.shown) stage.shape(film.views.length > 1 ? film.views[0] : this.view);
    this.end = Math.max(0, ...this.shown.map((s) => seconds(s.film)));
    this.seek.max = this.end;
    // Canvases get their size with the page.
    requestAnimationFrame(() => this.to(this.time));
  }

  #key(event) {
    const tag = event.target.tagName;
    if (event.altKey || event.ctrlKey || event.metaKey || tag === "SELECT") return;
    const act = {
      " ": () => this.run(!this.playing), ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1),
      Home: () => this.to(0), End: () => this.to(this.end),
    }[event.key];
    const own = tag === "BUTTON" || tag === "INPUT";
    if (!act || (own && (event.key === " " || event.target.type === "range"))) return;
    event.preventDefault();
    act();
  }
}
