// Reads values off curves under the pointer: the nearest iteration, every run's value there.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const clamp = (v, low, high) => Math.min(Math.max(v, low), high);

  // From 0…1 along an axis back to a value.
  function scale(code) {
    const [low, high, kind] = code.split(" ");
    const [a, b] = [Number(low), Number(high)];
    return kind === "log" ? (p) => a * (b / a) ** p : (p) => a + p * (b - a);
  }

  function number(v) {
    const size = Math.abs(v);
    if (size !== 0 && (size < 1e-3 || size >= 1e7)) return v.toExponential(2).replaceAll("-", "−");
    const digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3;
    return v.toFixed(digits).replace("-", "−");
  }

  function points(curve) {
    const pairs = (curve.getAttribute("d") ?? "").matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g);
    return Array.from(pairs, (m) => [Number(m[1]), Number(m[2])]);
  }

  function nearest(list, x) {
    let low = 0, high = list.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (list[middle][0] > x) high = middle;
      else low = middle;
    }
    return Math.abs(list[low][0] - x) <= Math.abs(list[high][0] - x) ? list[low] : list[high];
  }

  function attach(plot) {
    const curves = [...plot.querySelectorAll(".curve")].map((node) => ({
      label: node.dataset.label,
      colour: [...node.classList].find((c) => /^s\d$/.test(c)),
      list: points(node),
    })).filter((c) => c.list.length > 1);
    if (!curves.length) return;
    const [left, right, top, bottom] = plot.dataset.area.split(" ").map(Number);
    const [toX, toY] = [scale(plot.dataset.x), scale(plot.dataset.y)];
    const figure = plot.closest("figure");
    const reads = figure.dataset.reads ?? "iteration";
    let layer, readout;

    const hide = () => {
      layer?.remove();
      readout?.remove();
      layer = readout = undefined;
    };
    const element = (name, attributes) => {
      const node = document.createElementNS(SVG, name);
      Object.entries(attributes).forEach(([n, v]) => node.setAttribute(n, v));
      return node;
    };
    const line = (text, bold) => {
      const row = document.createElement("div");
      const value = document.createElement("b");
      value.textContent = bold;
      row.append(text, value);
      return row;
    };
    const show = (event) => {
      const box = plot.getBoundingClientRect();
      const unit = plot.viewBox.baseVal.width / box.width;
      const at = clamp((event.clientX - box.left) * unit, left, right);
      const x = curves.map((c) => nearest(c.list, at)[0])
        .reduce((a, b) => (Math.abs(b - at) < Math.abs(a - at) ? b : a));
      hide();
      layer = element("g", {});
      layer.append(element("line", { class: "cursor", x1: x, x2: x, y1: top, y2: bottom }));
      readout = document.createElement("div");
      readout.className = "readout";
      const where = toX((x - left) / (right - left));
      readout.append(line(`${reads} `, reads === "iteration" ? String(Math.round(where)) : number(where)));
      // Curves thinned to their peaks rarely share an iteration: take what lies within a few units.
      const here = curves.map((c) => ({ ...c, p: nearest(c.list, x) }))
        .filter((c) => Math.abs(c.p[0] - x) < 6)
        .sort((a, b) => a.p[1] - b.p[1]);
      for (const { label, colour, p } of here) {
        layer.append(element("circle", { class: `probe ${colour}`, cx: p[0], cy: p[1], r: 4 }));
        const value = number(toY((bottom - p[1]) / (bottom - top)));
        readout.append(line(curves.length > 1 ? `${label} ` : "", value));
      }
      plot.append(layer);
      figure.append(readout);
      const frame = figure.getBoundingClientRect();
      const place = box.left - frame.left + x / unit;
      const past = place + 14 + readout.offsetWidth > frame.width;
      readout.style.left = `${Math.max(past ? place - 14 - readout.offsetWidth : place + 14, 0)}px`;
      readout.style.top = `${box.top - frame.top + top / unit}px`;
    };
    plot.addEventListener("pointermove", show);
    plot.addEventListener("pointerdown", show);
    plot.addEventListener("pointerleave", hide);
  }

  document.querySelectorAll(".chart .plot").forEach(attach);
})();
