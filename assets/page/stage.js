// Draws a world on a canvas: parts as `film.rs` describes them, in the colours of their roles, light and dark.
import { h } from "./dom.js";

const ROLES = ["body", "limb", "ground", "obstacle", "target", "joint"];
const dark = matchMedia("(prefers-color-scheme: dark)");
let palette;
dark.addEventListener("change", () => { palette = undefined; });

/** Colours of the page by name: roles, `panel`, `ink`, `s0` … `s7`. */
export function colours() {
  if (palette) return palette;
  const style = getComputedStyle(document.documentElement);
  const names = [...ROLES, "panel", "page", "ink", "soft", "rule", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"];
  return (palette = Object.fromEntries(names.map((n) => [n, style.getPropertyValue(`--${n}`).trim()])));
}

/** Calls `work` whenever the colours change. */
export const onColours = (work, signal) => dark.addEventListener("change", work, { signal });

const mixed = (a, b, f) => a.map((v, k) => v + f * (b[k] - v));

/** The parts `f` of the way from `a` to `b`; a part that has become another kind of shape jumps. */
export function between(a, b, f) {
  if (f >= 1 || !a) return b;
  return b.map((to, i) => {
    const from = a[i];
    const alike = from && from.kind === to.kind && from.p.length === to.p.length;
    return alike ? { ...to, w: from.w + f * (to.w - from.w), p: mixed(from.p, to.p, f) } : to;
  });
}

/** The view `f` of the way from `a` to `b`: a camera that follows moves as smoothly as the parts. */
export const betweenViews = (a, b, f) => (f >= 1 || !a ? b : mixed(a, b, f));

/** A canvas that shows a part of a world as large as fits. */
export class Stage {
  /** `label`: what is seen, for those who cannot see it. */
  constructor(label, properties = {}) {
    this.canvas = h("canvas", { class: "stage", role: "img", "aria-label": label, ...properties });
    this.pen = this.canvas.getContext("2d");
    this.backdrop = [];
    this.last = null;
    this.watch = new ResizeObserver(() => this.again());
    this.watch.observe(this.canvas);
    this.ends = new AbortController();
    onColours(() => this.again(), this.ends.signal);
  }

  close() {
    this.watch.disconnect();
    this.ends.abort();
  }

  /** Gives the canvas the proportions of a view. */
  shape([left, bottom, right, top]) {
    this.canvas.style.aspectRatio = `${right - left} / ${top - bottom}`;
  }

  /** Draws what was drawn last: after a change of size or colours. */
  again() {
    if (this.last) this.draw(...this.last);
  }

  /** Draws parts on the backdrop. `trail`: `{ points: [[x, y], …], role or colour }`. */
  draw(parts, view, trail) {
    this.last = [parts, view, trail];
    const { canvas, pen } = this;
    const sharp = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((v) => Math.round(v * sharp));
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const [left, bottom, right, top] = view;
    const scale = Math.min(width / (right - left), height / (top - bottom));
    this.scale = scale;
    this.sharp = sharp;
    this.origin = [(width - scale * (left + right)) / 2, (height + scale * (bottom + top)) / 2];
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = colours().panel;
    pen.fillRect(0, 0, width, height);
    pen.setTransform(scale, 0, 0, -scale, ...this.origin);
    this.backdrop.forEach((part) => this.#part(part));
    if (trail) this.#trail(trail);
    parts.forEach((part) => this.#part(part));
  }

  /** World coordinates of a pointer event, metres. */
  world(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = (event.clientX - box.left) * this.sharp - this.origin[0];
    const y = (event.clientY - box.top) * this.sharp - this.origin[1];
    return [x / this.scale, -y / this.scale];
  }

  #part({ role, kind, p, w }) {
    const { pen } = this;
    const colour = colours()[role];
    pen.fillStyle = pen.strokeStyle = colour;
    pen.beginPath();
    if (kind === "capsule") {
      pen.lineCap = "round";
      pen.lineWidth = 2 * w;
      pen.moveTo(p[0], p[1]);
      // Nothing is stroked between equal points: a hair's breadth makes a dot of it.
      pen.lineTo(p[2] + (p[0] === p[2] && p[1] === p[3] ? 1e-6 : 0), p[3]);
      pen.stroke();
      return;
    }
    if (kind === "circle") pen.arc(p[0], p[1], w, 0, 2 * Math.PI);
    else for (let i = 0; i < p.length; i += 2) pen.lineTo(p[i], p[i + 1]);
    pen.closePath();
    if (role !== "target") {
      pen.fill();
      return;
    }
    pen.globalAlpha = 0.3;
    pen.fill();
    pen.globalAlpha = 1;
    pen.lineWidth = (1.5 * this.sharp) / this.scale;
    pen.stroke();
  }

  #trail({ points, role, colour }) {
    const { pen } = this;
    pen.beginPath();
    points.forEach(([x, y]) => pen.lineTo(x, y));
    pen.strokeStyle = colour ?? colours()[role];
    pen.globalAlpha = 0.6;
    pen.lineJoin = pen.lineCap = "round";
    pen.lineWidth = (1.6 * this.sharp) / this.scale;
    pen.stroke();
    pen.globalAlpha = 1;
  }
}

// Points of a part that may leave a trail: its centre, then its ends.
function handles({ kind, p }) {
  const corners = [];
  for (let i = 0; i < p.length; i += 2) corners.push([p[i], p[i + 1]]);
  const middle = (points) => [0, 1].map((c) => points.reduce((sum, q) => sum + q[c], 0) / points.length);
  if (kind === "circle") return corners;
  if (kind === "capsule") return [middle(corners), ...corners];
  return [middle(corners)];
}

const length = (points) =>
  points.reduce((sum, q, i) => sum + (i ? Math.hypot(q[0] - points[i - 1][0], q[1] - points[i - 1][1]) : 0), 0);

/**
 * The trail of a film: of the point of a body or limb that moves furthest; under a moving camera that of the first
 * body's centre, as in `costate-picture`.
 */
export function trailOf(film) {
  const [first] = film.frames;
  const candidates = [];
  for (const role of ["body", "limb"])
    first.forEach((part, index) => {
      if (part.role === role) handles(part).forEach((_, k) => candidates.push([index, k, role]));
    });
  let best;
  for (const [index, k, role] of candidates) {
    const points = film.frames.map((f) => f[index] && handles(f[index])[k]);
    if (points.some((p) => !p)) continue;
    const path = length(points);
    if (!best || path > 1.05 * best.path) best = { points, role, path };
    if (film.views.length > 1) break;
  }
  return best;
}
