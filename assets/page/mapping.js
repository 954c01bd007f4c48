// Which keys and gamepad axes move which action channel: defaults, the reader's own choice, and its editor.
import { button, channel, check, h, kept, note, select } from "./dom.js";

/** Keys that steer the session rather than the world, by `event.code`. */
export const COMMANDS = {
  Space: "Space", Enter: "Enter", Backspace: "Backspace", KeyX: "X", KeyU: "U",
};
const NEVER = ["Tab", "Escape", ...Object.keys(COMMANDS)];
const PAIRS = ["QA", "WS", "ED", "RF", "TG", "YH", "IK", "OL"];
const AXES = ["left stick →", "left stick ↑", "right stick →", "right stick ↑", "upper shoulder buttons",
  "lower shoulder buttons"];

const oneSided = (c) => c.low !== null && c.low >= 0;

/** `[{ plus: [codes], minus: [codes], axis, invert }]`, one a channel. */
export function defaults(channels) {
  const across = { plus: ["ArrowRight", "KeyD"], minus: ["ArrowLeft", "KeyA"], axis: 0, invert: false };
  const up = { plus: ["ArrowUp", "KeyW"], minus: ["ArrowDown", "KeyS"], axis: 1, invert: false };
  if (channels.length === 1) return [oneSided(channels[0]) ? up : across];
  // A motor that only pushes, as a lander's engine, is upwards.
  if (channels.length === 2) return oneSided(channels[0]) ? [up, across] : [across, up];
  return channels.map((_, i) => {
    const [plus, minus] = PAIRS[i % PAIRS.length];
    return { plus: [`Key${plus}`], minus: [`Key${minus}`], axis: i < AXES.length ? i : -1, invert: false };
  });
}

/** The mapping of an environment: `{ keys, strength }`, as the reader left it. */
export function mapping(env, channels) {
  const own = kept.read(`mapping.${env}`, null);
  const usable = own?.keys?.length === channels.length;
  return usable ? own : { keys: defaults(channels), strength: 1 };
}

const ARROWS = { ArrowRight: "→", ArrowLeft: "←", ArrowUp: "↑", ArrowDown: "↓" };
let layout;
// Keys are places on the keyboard; their letters depend on its layout, which some browsers tell.
navigator.keyboard?.getLayoutMap?.().then((map) => { layout = map; }).catch(() => {});

/** A key's name for people. */
export const keyName = (code) =>
  ARROWS[code] ?? layout?.get(code)?.toUpperCase() ?? code.replace(/^(Key|Digit)/, "").replace("Numpad", "Num ");

/** Names of the keys of one direction. */
export const keyNames = (codes) => codes.map(keyName).join(" or ") || "none";

/** A table to change a mapping; `change()` is called after every change. */
export function editor(env, channels, chosen, change) {
  const box = h("div", { class: "mapping" });
  const done = () => {
    kept.write(`mapping.${env}`, chosen);
    show();
    change();
  };
  const catchKey = (row, side, node) => {
    node.textContent = "press a key …";
    const waiting = new AbortController();
    const caught = (event) => {
      event.preventDefault();
      event.stopPropagation();
      waiting.abort();
      const { code } = event;
      if (code !== "Escape" && NEVER.includes(code)) note(`${keyName(code)} steers the session; choose another key.`);
      else if (code !== "Escape") {
        for (const other of chosen.keys)
          for (const s of ["plus", "minus"]) other[s] = other[s].filter((c) => c !== code);
        row[side] = [code];
      }
      done();
      box.querySelector(`[data-at="${chosen.keys.indexOf(row)}${side}"]`)?.focus();
    };
    addEventListener("keydown", caught, { capture: true, signal: waiting.signal });
    node.addEventListener("blur", () => {
      waiting.abort();
      node.textContent = keyNames(row[side]);
    }, { signal: waiting.signal });
  };
  const key = (row, side, name, i) => {
    const node = button(keyNames(row[side]), () => catchKey(row, side, node), {
      class: "key-cap", "data-at": `${i}${side}`,
      "aria-label": `Key for ${name} ${side === "plus" ? "up" : "down"}: ${keyNames(row[side])}. Change` });
    return node;
  };
  const show = () => {
    const rows = channels.map((c, i) => {
      const row = chosen.keys[i];
      const axis = select([[-1, "none"], ...AXES.map((a, k) => [k, a])], row.axis, {
        "aria-label": `Gamepad axis for ${c.name}`,
        onchange: () => { row.axis = Number(axis.value); done(); } });
      const turned = check("turned", { checked: row.invert, onchange: (e) => { row.invert = e.target.checked; done(); } });
      return h("tr", {}, h("th", { scope: "row" }, channel(c)), h("td", {}, key(row, "plus", c.name, i)),
        h("td", {}, oneSided(c) ? "–" : key(row, "minus", c.name, i)), h("td", {}, axis, turned));
    });
    box.replaceChildren(
      h("div", { class: "scroll" }, h("table", {},
        h("thead", {}, h("tr", {}, ["channel", "+", "−", "gamepad"].map((t) => h("th", { scope: "col" }, t)))),
        h("tbody", {}, rows))),
      button("Defaults", () => {
        Object.assign(chosen, { keys: defaults(channels), strength: 1 });
        done();
      }));
  };
  show();
  return box;
}
