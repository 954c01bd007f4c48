// A learned cost over two observation channels, with the ways of films on it.
import { h, number, select } from "./dom.js";
import { colours, onColours } from "./stage.js";
import { place } from "./player.js";

// Viridis, as in reports: perceptually uniform, readable without colour vision.
const VIRIDIS = ["440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"]
  .map((c) => [0, 2, 4].map((i) => parseInt(c.slice(i, i + 2), 16)));

function heat(share) {
  const at = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1);
  const i = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return VIRIDIS[i].map((v, c) => Math.round(v + (at - i) * (VIRIDIS[i + 1][c] - v)));
}

// Without the outermost 2 % at either end, which would hide the rest.
function range(rows) {
  const values = rows.flat().filter(Number.isFinite).sort((a, b) => a - b);
  const at = (share) => values[Math.min(Math.floor(share * values.length), values.length - 1)] ?? 0;
  const [low, high] = [at(0.02), at(0.98)];
  return high > low ? [low, high] : [low - 0.5, low + 0.5];
}

// The map as an image of one pixel a grid point.
function image({ cost }, [low, high]) {
  const rows = cost.length, columns = cost[0].length;
  const canvas = h("canvas", { width: columns, height: rows });
  const pen = canvas.getContext("2d"), data = pen.createImageData(columns, rows);
  cost.forEach((row, r) => row.forEach((v, c) => {
    const colour = Number.isFinite(v) ? [...heat((v - low) / (high - low)), 255] : [128, 128, 128, 255];
    data.data.set(colour, 4 * ((rows - 1 - r) * columns + c));
  }));
  pen.putImageData(data, 0, 0);
  return canvas;
}

/** The maps of a run; `films`: `[{ film, caption, colour }]`. `show(time)` moves the dots. */
export class Landscapes {
  constructor(maps, films, signal) {
    Object.assign(this, { maps, films, time: 0 });
    const name = (m) => `${m.names[0]}, ${m.names[1]}`;
    this.choice = select(maps.map((m, i) => [i, name(m)]), 0, { onchange: () => this.choose(Number(this.choice.value)) });
    this.canvas = h("canvas", { class: "landscape-map", role: "img" });
    this.across = h("span", { class: "across" });
    this.up = h("span", { class: "up" });
    this.bar = h("span", { class: "bar" });
    this.low = h("span", {});
    this.high = h("span", {});
    this.bounds = h("p", { class: "soft" });
    this.element = h("figure", { class: "landscape" },
      maps.length > 1 ? h("label", { class: "row" }, "Channels ", this.choice) : null,
      h("div", { class: "map" }, this.up, this.canvas, this.across),
      h("div", { class: "colour-bar" }, "cost of a step ", this.low, this.bar, this.high), this.bounds);
    const stops = VIRIDIS.map((c) => `rgb(${c.join(" ")})`).join(", ");
    this.bar.style.background = `linear-gradient(to right, ${stops})`;
    this.watch = new ResizeObserver(() => this.show(this.time));
    this.watch.observe(this.canvas);
    signal.addEventListener("abort", () => this.watch.disconnect());
    onColours(() => this.show(this.time), signal);
    this.choose(0);
  }

  choose(index) {
    this.map = this.maps[index];
    const bounds = range(this.map.cost);
    this.image = image(this.map, bounds);
    [this.across.textContent, this.up.textContent] = this.map.names;
    [this.low.textContent, this.high.textContent] = bounds.map(number);
    const [left, right, bottom, top] = this.map.area.map(number);
    this.bounds.textContent = `${this.map.names[0]} from ${left} to ${right}, ${this.map.names[1]} from ${bottom} to ${top}; ` +
      "all other channels as demonstrated.";
    this.canvas.setAttribute("aria-label", `Learned cost over ${this.map.names[0]} and ${this.map.names[1]}, with the ways of ` +
      this.films.map((f) => f.caption).join(", "));
    this.show(this.time);
  }

  show(time) {
    this.time = time;
    const { canvas, map } = this;
    const sharp = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((v) => Math.round(v * sharp));
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = true;
    pen.drawImage(this.image, 0, 0, width, height);
    const [left, right, bottom, top] = map.area;
    const at = (o) => [((o[map.x] - left) / (right - left)) * width, (1 - (o[map.y] - bottom) / (top - bottom)) * height];
    pen.lineJoin = pen.lineCap = "round";
    this.films.forEach(({ film }, i) => {
      pen.beginPath();
      film.observations.forEach((o) => pen.lineTo(...at(o)));
      // A casing, to be seen on every colour.
      for (const [colour, wide] of [[colours().page, 4.5], [this.#colour(i), 2.2]]) {
        pen.strokeStyle = colour;
        pen.lineWidth = wide * sharp;
        pen.stroke();
      }
    });
    this.films.forEach(({ film }, i) => {
      const [k, f] = place(film, time);
      const a = at(film.observations[k]), b = at(film.observations[Math.min(k + 1, film.observations.length - 1)]);
      pen.beginPath();
      pen.arc(a[0] + f * (b[0] - a[0]), a[1] + f * (b[1] - a[1]), 6 * sharp, 0, 2 * Math.PI);
      pen.fillStyle = this.#colour(i);
      pen.strokeStyle = colours().page;
      pen.lineWidth = 2 * sharp;
      pen.fill();
      pen.stroke();
    });
  }

  #colour(i) {
    return colours()[this.films[i].colour];
  }
}
