// From hands to actions: keys, buttons on the screen, a pointer or a gamepad, told at once at every change.
import { h } from "./dom.js";
import { keyNames } from "./mapping.js";

const DEAD = 0.12; // of a stick, which never rests at exactly 0

/** Devices besides the keyboard, which always works. */
export const DEVICES = [
  ["keys", "Keyboard"], ["buttons", "Buttons on the screen"], ["pointer", "Mouse or finger: drag in the picture"],
  ["gamepad", "Gamepad"],
];

/** The device to begin with. */
export const usual = () => (matchMedia("(pointer: coarse)").matches ? "buttons" : "keys");

export class Inputs {
  /**
   * `chosen`: the mapping, which may change in place. `send(values)`: says `{ action }` or `{ pointer }`. Listens until
   * `signal` is aborted, and steers only while `live()`.
   */
  constructor(channels, chosen, { send, live, signal }) {
    Object.assign(this, { channels, chosen, send, live, device: "keys", told: "null" });
    // For each channel, which directions are held: the last one counts.
    this.held = channels.map(() => []);
    this.sticks = channels.map(() => 0);
    addEventListener("keydown", (e) => this.#key(e, true), { signal });
    addEventListener("keyup", (e) => this.#key(e, false), { signal });
    addEventListener("blur", () => this.release(), { signal });
    signal.addEventListener("abort", () => { this.ended = true; });
  }

  /** Uses a device besides the keyboard. */
  use(device) {
    this.device = device;
    this.release();
    if (device === "gamepad" && !this.polling) this.#poll();
  }

  /** Lets go of everything. */
  release() {
    this.held.forEach((h) => { h.length = 0; });
    this.sticks.fill(0);
    this.#tell();
  }

  /** Says once more what is held: the server forgets it between episodes. */
  again() {
    if (this.told === "pointer") return;
    this.told = undefined;
    this.#tell();
  }

  /** The action of what is held, null at rest. */
  action() {
    let rest = true;
    const values = this.channels.map((c, i) => {
      const low = c.low ?? -1, high = c.high ?? 1;
      const zero = Math.min(Math.max(0, low), high);
      const [{ push, by } = {}] = this.held[i].slice(-1);
      const share = by === undefined ? this.sticks[i] : push * this.chosen.strength;
      if (share !== 0) rest = false;
      return share >= 0 ? zero + share * (high - zero) : zero + share * (zero - low);
    });
    return rest ? null : values;
  }

  /** Buttons for fingers: one for each direction of each channel. */
  pad() {
    const rows = this.channels.map((c, i) => {
      const { plus, minus } = this.chosen.keys[i];
      const name = { plus: this.#arrow(plus) ?? "+", minus: this.#arrow(minus) ?? "−" };
      const one = (side, push) => {
        const by = `pad-${side}`;
        const node = h("button", { type: "button", class: "hold", "aria-label": `${c.name} ${side === "plus" ? "up" : "down"}` },
          h("span", { "aria-hidden": "true" }, name[side]));
        const press = (e) => {
          e.preventDefault();
          if (e.pointerId !== undefined) node.setPointerCapture(e.pointerId);
          this.#hold(i, by, push, true);
        };
        const lift = () => this.#hold(i, by, push, false);
        node.addEventListener("pointerdown", press);
        ["pointerup", "pointercancel", "lostpointercapture", "blur"].forEach((t) => node.addEventListener(t, lift));
        const space = (e) => e.code === "Space" || e.code === "Enter";
        node.addEventListener("keydown", (e) => space(e) && press(e));
        node.addEventListener("keyup", (e) => space(e) && lift());
        node.addEventListener("contextmenu", (e) => e.preventDefault());
        return node;
      };
      const sides = [c.low === null || c.low < 0 ? one("minus", -1) : null, one("plus", 1)];
      return h("div", { class: "pad-row" }, h("span", { "aria-hidden": "true" }, c.name), sides);
    });
    return h("div", { class: "pad", role: "group", "aria-label": "Action buttons" }, rows);
  }

  /** Steers by dragging on a stage. */
  drag(stage) {
    const { canvas } = stage;
    let down = false;
    const move = (e) => {
      if (!down || !this.live()) return;
      this.told = "pointer";
      this.send({ pointer: stage.world(e) });
    };
    canvas.addEventListener("pointerdown", (e) => {
      if (this.device !== "pointer") return;
      down = true;
      canvas.setPointerCapture(e.pointerId);
      move(e);
    });
    canvas.addEventListener("pointermove", move);
    const up = () => {
      if (!down) return;
      down = false;
      this.#tell();
    };
    ["pointerup", "pointercancel", "lostpointercapture"].forEach((t) => canvas.addEventListener(t, up));
  }

  #arrow(codes) {
    const code = codes.find((c) => c.startsWith("Arrow"));
    return code && keyNames([code]);
  }

  #key(event, down) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest?.("input:not([type=checkbox]), select, textarea, dialog");
    if (down && (typing || !this.live())) return;
    this.chosen.keys.forEach(({ plus, minus }, i) => {
      for (const [codes, push] of [[plus, 1], [minus, -1]]) {
        if (!codes.includes(event.code)) continue;
        if (down) event.preventDefault();
        if (!event.repeat) this.#hold(i, event.code, push, down);
      }
    });
  }

  #hold(i, by, push, down) {
    const held = this.held[i];
    const at = held.findIndex((x) => x.by === by);
    if (at >= 0) held.splice(at, 1);
    if (down && this.live()) held.push({ by, push });
    this.#tell();
  }

  #tell() {
    const action = this.action();
    const text = JSON.stringify(action);
    if (text === this.told) return;
    this.told = text;
    this.send({ action });
  }

  // Gamepads tell nothing by themselves.
  #poll() {
    this.polling = !this.ended && this.device === "gamepad";
    if (!this.polling) return;
    const pad = navigator.getGamepads?.().find(Boolean);
    const level = (b) => pad?.buttons[b]?.value ?? 0;
    this.sticks = this.chosen.keys.map(({ axis, invert }) => {
      if (!pad || axis < 0 || !this.live()) return 0;
      // Sticks count downwards; shoulder buttons are the fifth and sixth axis.
      const raw = [() => pad.axes[0], () => -pad.axes[1], () => pad.axes[2], () => -pad.axes[3],
        () => level(5) - level(4), () => level(7) - level(6)][axis]() || 0;
      const size = Math.max(Math.abs(raw) - DEAD, 0) / (1 - DEAD);
      return Math.round(100 * Math.min(size, 1) * Math.sign(raw) * (invert ? -1 : 1)) / 100;
    });
    this.gamepad = pad?.id ?? null;
    this.#tell();
    requestAnimationFrame(() => this.#poll());
  }
}
