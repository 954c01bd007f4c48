// Live numbers of a session: the action beside the expert's, the observation.
import { channel, fixed, h } from "./dom.js";

const EVERY = 66; // ms: figures that change faster cannot be read

// A bar from rest to a value within bounds, with a mark for the expert's.
function bar({ low, high }) {
  if (low === null || high === null || !(high > low)) return null;
  const at = (v) => `${100 * Math.min(Math.max((v - low) / (high - low), 0), 1)}%`;
  const zero = Math.min(Math.max(0, low), high);
  const fill = h("i", { class: "fill" }), mark = h("i", { class: "mark", hidden: true }), rest = h("i", { class: "rest" });
  rest.style.left = at(zero);
  const show = (value, expert) => {
    const [a, b] = [Math.min(value, zero), Math.max(value, zero)];
    fill.style.left = at(a);
    fill.style.right = `${100 - parseFloat(at(b))}%`;
    mark.hidden = expert == null;
    if (expert != null) mark.style.left = at(expert);
  };
  return { node: h("div", { class: "meter", "aria-hidden": "true" }, rest, fill, mark), show };
}

function rows(channels, compared) {
  return channels.map((c) => {
    const value = h("td", { class: "n" }, "–"), expert = compared && h("td", { class: "n expert" }, "–");
    const gauge = bar(c);
    const row = h("tr", {}, h("th", { scope: "row" }, channel(c)), h("td", { class: "gauge" }, gauge?.node), value, expert);
    const show = (v, e) => {
      value.textContent = fixed(v, 3);
      if (expert) expert.textContent = fixed(e, 3);
      gauge?.show(v, e);
    };
    return { row, show };
  });
}

const body = (title, heads, list) => h("table", { class: "live" }, h("caption", {}, title),
  h("thead", {}, h("tr", {}, heads.map((t) =>
    (t ? h("th", { scope: "col", class: t !== "channel" && "n" }, t) : h("td", {}))))),
  h("tbody", {}, list.map((r) => r.row)));

/** Tables of a session: `{ element, update(frame), expert(shown) }`. */
export function meters(opened) {
  const compared = Boolean(opened.expert);
  const actions = rows(opened.action, compared), observed = rows(opened.observation, false);
  const element = h("div", { class: "meters" },
    body("Action", ["channel", "", "now", ...(compared ? ["expert"] : [])], actions),
    h("div", { class: "observed", tabindex: 0, role: "region", "aria-label": "Observation" },
      body("Observation", ["channel", "", "now"], observed)));
  let told = 0, phase, shown = true;
  const update = (frame) => {
    const now = performance.now();
    if (now - told < EVERY && frame.phase === phase) return;
    told = now;
    phase = frame.phase;
    actions.forEach((a, i) => a.show(frame.action[i], shown ? frame.expert?.[i] : null));
    observed.forEach((o, i) => o.show(frame.observation[i]));
  };
  const expert = (visible) => {
    shown = visible;
    element.classList.toggle("alone", !visible);
    told = 0;
  };
  return { element, update, expert };
}
