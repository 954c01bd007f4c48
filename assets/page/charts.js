// Curves with axes, and their values under the pointer or the arrow keys.
import { h, number, s } from "./dom.js";

const WIDTH = 340, HEIGHT = 190, LEFT = 52, RIGHT = 10, TOP = 10, BOTTOM = 34;

// Round numbers within bounds, about `wanted` of them.
function ticks(low, high, wanted) {
  const raw = (high - low) / wanted;
  const base = 10 ** Math.floor(Math.log10(raw));
  const step = base * [1, 2, 5, 10].find((m) => base * m >= raw * 0.999);
  const list = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k += 1) list.push(k * step);
  return { list, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });

function tickText(v, digits) {
  const size = Math.abs(v);
  if (size >= 1e4) return compact.format(v).replace("-", "−");
  if (size > 1e-12 && digits > 4) return v.toExponential(1).replaceAll("-", "−");
  return (size < 1e-12 ? 0 : v).toFixed(size < 1e-12 ? 0 : digits).replace("-", "−");
}

// A place along the axis.
const along = (x) => (Number.isInteger(x) ? String(x) : number(x));

// At most a point a half pixel and direction: what is thinned away could not be seen.
function thinned(points, column) {
  if (points.length < 1500) return points;
  const found = [];
  let at, group = [];
  const flush = () => {
    if (!group.length) return;
    const by = [...group].sort((a, b) => a[1] - b[1]);
    found.push(...[by[0], by[by.length - 1]].sort((a, b) => a[0] - b[0]));
    group = [];
  };
  for (const p of points) {
    if (column(p[0]) !== at) flush();
    at = column(p[0]);
    group.push(p);
  }
  flush();
  return found;
}

function nearest(points, x) {
  let low = 0, high = points.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] > x) high = middle;
    else low = middle;
  }
  return Math.abs(points[low][0] - x) <= Math.abs(points[high][0] - x) ? points[low] : points[high];
}

/**
 * A chart of one curve. `reads`: what is along the horizontal axis. `update(points, { range, bounds, levels })` draws
 * `[x, y]` pairs; `range` fixes the horizontal, `bounds` the vertical axis; `levels` are `[name, value]` to compare with.
 * `cursor(x)` marks a place.
 */
export class Chart {
  constructor({ title, unit = "", reads = "iteration", colour = "s0", height = HEIGHT }) {
    Object.assign(this, { title, unit, reads, points: [], height });
    this.grid = s("g", {});
    this.curve = s("path", { class: `curve ${colour}` });
    this.layer = s("g", { class: colour });
    this.only = s("circle", { class: `probe ${colour}`, r: 3.5, visibility: "hidden" });
    this.mark = s("line", { class: "moving", y1: TOP, y2: height - BOTTOM, visibility: "hidden" });
    this.svg = s("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${height}`, role: "img", tabindex: 0 },
      this.grid, this.curve, this.only, this.mark, this.layer);
    this.readout = h("div", { class: "readout", hidden: true });
    this.element = h("div", { class: "chart" }, this.svg, this.readout);
    this.svg.addEventListener("pointermove", (e) => this.#point(e));
    this.svg.addEventListener("pointerdown", (e) => this.#point(e));
    ["pointerleave", "blur"].forEach((t) => this.svg.addEventListener(t, () => this.#hide()));
    this.svg.addEventListener("keydown", (e) => this.#key(e));
  }

  update(points, { range, bounds, levels = [] } = {}) {
    this.points = points.filter(([, y]) => Number.isFinite(y));
    const values = [...this.points.map((p) => p[1]), ...levels.map((l) => l[1])];
    const last = this.points[this.points.length - 1];
    const of = this.unit ? ` ${this.unit}` : "";
    this.svg.setAttribute("aria-label", last
      ? `${this.title}: ${number(last[1])}${of} at ${this.reads} ${along(last[0])}; arrow keys read other values`
      : `${this.title}: no values yet`);
    let [low, high] = bounds ?? values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
    if (!(low <= high)) [low, high] = [0, 1];
    const air = 0.06 * (high - low) || Math.max(Math.abs(high) * 0.1, 0.5);
    [low, high] = [low - air, high + air];
    let [from, to] = range ?? [this.points[0]?.[0] ?? 0, last?.[0] ?? 1];
    if (to <= from) to = from + 1;
    const right = WIDTH - RIGHT, bottom = this.height - BOTTOM;
    this.x = (v) => LEFT + ((v - from) / (to - from)) * (right - LEFT);
    this.y = (v) => bottom - ((v - low) / (high - low)) * (bottom - TOP);
    this.#grid(low, high, from, to);
    this.#levels(levels);
    const list = thinned(this.points, (v) => Math.round(2 * this.x(v)));
    const at = ([x, y]) => `${this.x(x).toFixed(1)} ${this.y(y).toFixed(1)}`;
    this.curve.setAttribute("d", list.map((p, i) => `${i ? "L" : "M"}${at(p)}`).join(""));
    // A line of one point would not be seen.
    this.only.setAttribute("visibility", list.length === 1 ? "visible" : "hidden");
    if (list.length === 1) [["cx", this.x(list[0][0])], ["cy", this.y(list[0][1])]].forEach((a) => this.only.setAttribute(...a));
    if (this.shown !== undefined && this.points.length) this.#show(nearest(this.points, this.shown));
  }

  cursor(x) {
    if (!this.x) return;
    this.mark.setAttribute("visibility", "visible");
    this.mark.setAttribute("x1", this.x(x));
    this.mark.setAttribute("x2", this.x(x));
  }

  #grid(low, high, from, to) {
    const right = WIDTH - RIGHT, bottom = this.height - BOTTOM;
    const nodes = [];
    const down = ticks(low, high, this.height > 120 ? 4 : 2), across = ticks(from, to, 5);
    for (const v of down.list) {
      const y = this.y(v);
      nodes.push(s("line", { class: "grid", x1: LEFT, x2: right, y1: y, y2: y }));
      nodes.push(s("text", { class: "end", x: LEFT - 6, y: y + 4 }, tickText(v, down.digits)));
    }
    for (const v of across.list) {
      const x = this.x(v);
      nodes.push(s("line", { class: "axis", x1: x, x2: x, y1: bottom, y2: bottom + 4 }));
      if (x < right - 12 || v === to) nodes.push(s("text", { class: "middle", x, y: bottom + 16 }, tickText(v, across.digits)));
    }
    nodes.push(s("line", { class: "axis", x1: LEFT, x2: right, y1: bottom, y2: bottom }));
    nodes.push(s("text", { class: "end", x: right, y: this.height - 3 }, this.reads));
    if (this.unit) nodes.push(s("text", { x: 2, y: this.height - 3 }, this.unit));
    this.grid.replaceChildren(...nodes);
  }

  // Dashed lines, named above them at the left; of two that lie close together, the lower one below it.
  #levels(levels) {
    let before = Infinity;
    for (const [name, value] of [...levels].sort((a, b) => a[1] - b[1])) {
      const y = this.y(value);
      const below = levels.some(([, v]) => v > value && y - this.y(v) < 14);
      const at = below ? y + 13 : y - 4;
      this.grid.append(s("line", { class: "level", x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y }));
      // A third one there would only hide them.
      if (Math.abs(at - before) > 11) this.grid.append(s("text", { class: "level-name", x: LEFT + 4, y: at }, name));
      before = at;
    }
  }

  #point(event) {
    if (!this.points.length) return;
    const box = this.svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) * WIDTH) / box.width;
    const [a, b] = [this.x(0), this.x(1)];
    this.#show(nearest(this.points, (at - a) / (b - a)));
  }

  #key(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (by === undefined || !this.points.length) return;
    event.preventDefault();
    event.stopPropagation();
    const last = this.points.length - 1;
    const now = this.shown === undefined ? last : this.points.findIndex((p) => p[0] >= this.shown);
    this.#show(this.points[Math.min(Math.max(now + by, 0), last)]);
  }

  #show([x, y]) {
    this.shown = x;
    const px = this.x(x), py = this.y(y);
    this.layer.replaceChildren(
      s("line", { class: "cursor", x1: px, x2: px, y1: TOP, y2: this.height - BOTTOM }),
      s("circle", { class: "probe", cx: px, cy: py, r: 4 }));
    this.readout.hidden = false;
    this.readout.replaceChildren(`${this.reads} ${along(x)}: `, h("b", {}, number(y)), this.unit ? ` ${this.unit}` : "");
    const unit = this.svg.clientWidth / WIDTH;
    const past = px * unit + 14 + this.readout.offsetWidth > this.svg.clientWidth;
    this.readout.style.left = `${Math.max(past ? px * unit - 14 - this.readout.offsetWidth : px * unit + 14, 0)}px`;
    this.readout.style.top = `${TOP * unit}px`;
  }

  #hide() {
    this.shown = undefined;
    this.layer.replaceChildren();
    this.readout.hidden = true;
  }
}
