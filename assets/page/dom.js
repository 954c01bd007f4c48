// Elements, numbers and words: what every view needs.

/**
 * An element: `h("button", { class: "main", onclick: go, disabled: true }, "Go")`. Properties starting with "on" are
 * listeners; true sets an attribute, false, null and undefined leave it out. Children: nodes, text, nested arrays.
 */
export function h(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") node[name] = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((c) => c != null && c !== false));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** As `h`, for SVG. */
export function s(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) if (value != null) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

let fresh = 0;

/** A new id. */
export const id = (stem) => `${stem}-${++fresh}`;

/** A control under its label, with an explanation if there is one. */
export function field(label, control, about) {
  control.id ||= id("field");
  const note = about && h("small", { id: `${control.id}-about` }, about);
  if (note) control.setAttribute("aria-describedby", note.id);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, note);
}

/** A check box before its label. */
export function check(label, properties = {}) {
  const box = h("input", { type: "checkbox", ...properties });
  return Object.assign(h("label", { class: "check" }, box, label), { box });
}

/** A select of `[value, label]` pairs or plain values. */
export function select(options, chosen, properties = {}) {
  const node = h("select", properties, options.map((o) => {
    const [value, label] = Array.isArray(o) ? o : [o, o];
    return h("option", { value, selected: String(value) === String(chosen) }, label);
  }));
  return node;
}

export const button = (label, onclick, properties = {}) => h("button", { type: "button", onclick, ...properties }, label);

/**
 * A table whose first column heads the rows; columns: `[title, cell of a row, classes]`: "n" for numbers, "minor" for what
 * narrow screens leave out.
 */
export function table(caption, columns, rows) {
  const head = columns.map(([title, , kind]) => h("th", { scope: "col", class: kind }, title));
  const line = (row) => h("tr", {}, columns.map(([, cell, kind], i) =>
    h(i ? "td" : "th", { scope: i ? null : "row", class: kind }, cell(row))));
  return h("div", { class: "scroll" }, h("table", {}, h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows.map(line))));
}

/** A measured number for people: few digits, a real minus sign. */
export function number(value) {
  if (value == null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2).replaceAll("-", "−");
  const digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3;
  return value.toFixed(digits).replace("-", "−");
}

/** As `number`, with as many decimals as told: figures that change in place do not jump. */
export const fixed = (value, digits) =>
  value == null || !Number.isFinite(value) ? "–" : value.toFixed(digits).replace("-", "−");

export const percent = (share) => (share == null ? "–" : `${Math.round(100 * share)} %`);

export const solved = (success) => (success == null ? "–" : success ? "yes" : "no");

export const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

/** Text whose parts between backticks are code. */
export const rich = (text) => text.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));

/** A channel's name with its unit; pure numbers have none. */
export const channel = (c) => (c.unit && c.unit !== "1" ? `${c.name} (${c.unit})` : c.name);

/** Time since a Unix time. */
export function ago(seconds) {
  const past = Math.max(Date.now() / 1000 - seconds, 0);
  if (past < 90) return "just now";
  if (past < 5400) return `${Math.round(past / 60)} min ago`;
  if (past < 129600) return `${Math.round(past / 3600)} h ago`;
  return new Date(seconds * 1000).toLocaleDateString();
}

/** Says something to those who listen; repeated words are said again. */
export function say(text) {
  const spoken = document.getElementById("spoken");
  spoken.textContent = "";
  requestAnimationFrame(() => { spoken.textContent = text; });
}

/** A short note at the bottom of the window, with something to do about it: `[label, action]`. */
export function note(text, action) {
  const box = h("div", { class: "toast" }, h("span", {}, text));
  const gone = () => box.remove();
  if (action) box.append(button(action[0], () => { gone(); action[1](); }));
  box.append(button("Close", gone, { class: "quiet" }));
  document.getElementById("notes").replaceChildren(box);
  setTimeout(gone, action ? 12000 : 5000);
}

/** A dialog with a title; it goes when it is closed. Returns `close`. */
export function dialog(title, body, { wide = false, onclose } = {}) {
  const heading = h("h2", { id: id("title") }, title);
  const box = h("dialog", { class: wide && "wide", "aria-labelledby": heading.id });
  const close = () => box.close();
  box.append(h("div", { class: "dialog-head" }, heading, button("Close", close, { class: "quiet" })), body);
  box.addEventListener("close", () => { box.remove(); onclose?.(); });
  box.addEventListener("click", (e) => e.target === box && close());
  document.body.append(box);
  box.showModal();
  return close;
}

/** What a person chose, kept in this browser. */
export const kept = {
  read(key, fallback) {
    try { return JSON.parse(localStorage.getItem(`costate.${key}`)) ?? fallback; } catch { return fallback; }
  },
  write(key, value) {
    try { localStorage.setItem(`costate.${key}`, JSON.stringify(value)); } catch { /* A private window: not kept. */ }
  },
};

export const calm = matchMedia("(prefers-reduced-motion: reduce)");
