// A recording session on screen: the world, what can be done in its phase, what was kept.
import { attempt, Failure, get, path, report } from "./api.js";
import { Drive } from "./drive.js";
import { button, check, field, fixed, h, kept, note, number, plural, say, select } from "./dom.js";
import { Episodes, words } from "./episodes.js";
import { DEVICES, Inputs, usual } from "./inputs.js";
import { Live, sent } from "./live.js";
import { editor, keyNames, mapping } from "./mapping.js";
import { meters } from "./meters.js";

const PHASES = { ready: "Ready", countdown: "Get ready", running: "Recording", paused: "Paused", over: "Over" };

// A range with its value in words.
function slider(label, { min, max, step, value, about, words: told, oninput }) {
  const output = h("output", {}, told(value));
  const input = h("input", { type: "range", min, max, step, value, oninput: () => {
    output.textContent = told(Number(input.value));
    oninput(Number(input.value));
  } });
  const box = field(label, input, about);
  box.append(output);
  box.classList.add("slider");
  return { box, set(v) {
    if (document.activeElement === input || Number(input.value) === v) return;
    input.value = v;
    output.textContent = told(v);
  } };
}

export class Session {
  /** `first`: the first word. `refused(answer)`: it was not followed. `left(problem)`: the session is over. */
  constructor(place, first, { refused, left, signal }) {
    Object.assign(this, { place, left });
    this.ends = new AbortController();
    signal.addEventListener("abort", () => this.ends.abort());
    this.watching = first.type === "join" && !first.key;
    place.replaceChildren(h("p", { class: "soft" }, "Opening the world …"));
    this.drive = new Drive(first, {
      link: (state) => this.#link(state),
      opened: (opened) => this.#opened(opened),
      unopened: (answer) => { this.close(); refused(answer); },
      frame: (frame) => this.#frame(frame),
      kept: (answer) => this.#kept(answer),
      undone: (answer) => this.#undone(answer),
      refused: ({ message }) => report(new Failure(409, message)),
      ended: ({ message }) => { this.close(); left(message); },
    });
  }

  /** Leaves the page; the session waits for its driver. */
  close() {
    this.drive.close();
    this.ends.abort();
    this.live?.close();
  }

  #opened(opened) {
    const back = Boolean(this.live);
    this.info = opened;
    // The address asked for a new session; from now on, a reload comes back to this one.
    if (this.drive.drives) history.replaceState(null, "", "#/record");
    if (back) { this.live.open(opened); return; }
    this.watching = !this.drive.drives;
    const { env } = opened;
    // Screen readers leave its keys to an application.
    this.live = new Live(`The world of ${env}`, this.watching ? {} : { tabindex: 0, role: "application" });
    this.live.open(opened);
    this.meters = meters(opened);
    this.mapping = mapping(env, opened.action);
    if (!this.watching) this.#inputs();
    this.#layout();
    if (!this.watching) this.live.stage.canvas.focus({ preventScroll: true });
    this.#list();
  }

  #inputs() {
    const { action } = this.info;
    const live = () => ["running", "countdown"].includes(this.frame?.phase) && this.drives();
    this.inputs = new Inputs(action, this.mapping, { signal: this.ends.signal, live,
      send: (values) => sent(this.drive.input(values)) });
    this.inputs.drag(this.live.stage);
    addEventListener("keydown", (e) => this.#key(e), { signal: this.ends.signal });
    // Out of sight nobody drives.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden && this.frame?.phase === "running") this.drive.say("pause");
    }, { signal: this.ends.signal });
  }

  // Whether what hands do counts.
  drives() {
    return !this.info.run || this.frame?.who === "person";
  }

  #layout() {
    const { env, dataset, run, expert } = this.info;
    this.chip = h("strong", { class: "chip" });
    this.told = h("span", { class: "n" });
    this.time = h("progress", { max: 1, value: 0, "aria-label": "Time used" });
    this.left_s = h("span", { class: "n" });
    this.count = h("div", { class: "count", hidden: true, "aria-hidden": "true" });
    this.lost = h("div", { class: "lost", hidden: true, role: "alert" });
    this.why = h("p", { class: "problem", hidden: true });
    const screen = h("div", { class: "screen" }, this.live.stage.canvas, this.count, this.lost);
    const where = h("div", { class: "hud" }, this.chip, this.time, this.left_s, this.told);
    this.total = h("span", {});
    const leave = button(this.watching ? "Stop watching" : "Leave", () => { this.drive.leave(); this.close(); this.left(); });
    const title = h("div", { class: "title" },
      h("h1", {}, this.watching ? `Watching ${env}` : env), leave,
      h("p", { class: "subtitle" }, "into ", h("a", { href: `#/datasets/${encodeURIComponent(dataset)}` }, dataset), ", ",
        this.total, expert ? `, expert ${expert}` : "", run ? `, driven by the policy of ${run}` : ""));
    this.buttons = h("div", { class: "row session-buttons" });
    this.buttons.addEventListener("click", (e) => {
      // Keys go to the world again after a click; who came by keyboard stays where they are.
      if (e.detail > 0) this.live.stage.canvas.focus({ preventScroll: true });
    });
    this.padPlace = h("div", {});
    this.keptPlace = h("section", { "aria-label": "Kept episodes" });
    const main = h("div", { class: "main-column" }, screen, where, this.why,
      this.watching ? h("p", { class: "soft" }, "You watch; somebody else drives.") : [this.buttons, this.padPlace],
      this.meters.element);
    this.place.replaceChildren(title, this.watching ? main : h("div", { class: "session" }, main, this.#settings()), this.keptPlace);
    this.#total(this.info.episodes);
    if (!this.watching) this.#device(kept.read("device", usual()));
  }

  #total(episodes) {
    this.info.episodes = episodes;
    this.total.textContent = plural(episodes, "episode");
  }

  #settings() {
    const { expert, env, action, pointer, session } = this.info;
    this.tags = h("input", { type: "text", placeholder: "good, left side" });
    this.slow = slider("Slow motion", { min: 0.1, max: 1, step: 0.05, value: 1, words: (v) => `${fixed(v, 2)}×`,
      oninput: (factor) => this.drive.say("speed", { factor }) });
    this.help = expert && slider("Help of the expert", { min: 0, max: 1, step: 0.05, value: 0,
      words: (v) => (v === 0 ? "none" : v === 1 ? "it drives" : `${Math.round(100 * v)} %`),
      oninput: (share) => this.drive.say("assist", { share }) });
    const shows = expert && check("Show what the expert would do", { checked: kept.read("expert", true),
      onchange: (e) => { kept.write("expert", e.target.checked); this.meters.expert(e.target.checked); } });
    if (expert) this.meters.expert(kept.read("expert", true));
    const chosen = kept.read("device", usual());
    const devices = DEVICES.filter(([d]) => d !== "pointer" || pointer);
    this.devices = select(devices, chosen, { onchange: (e) => {
      kept.write("device", e.target.value);
      this.#device(e.target.value);
    } });
    const strength = slider("Strength of keys", { min: 0.1, max: 1, step: 0.05, value: this.mapping.strength,
      words: (v) => `${Math.round(100 * v)} %`, oninput: (v) => {
        this.mapping.strength = v;
        kept.write(`mapping.${env}`, this.mapping);
      } });
    this.keys = h("p", { class: "keys" });
    const link = `${location.origin}/#/record?watch=${session}`;
    return h("div", { class: "settings" },
      field("Tags of what is kept", this.tags), this.slow.box, this.help?.box, shows,
      field("Input", this.devices), this.keys, strength.box,
      h("details", {}, h("summary", {}, "Change keys and axes"),
        editor(env, action, this.mapping, () => { this.#device(this.devices.value); strength.set(this.mapping.strength); })),
      h("details", {}, h("summary", {}, "Let others watch"), h("p", {}, "On this machine, at ",
        h("a", { href: link, target: "_blank" }, link))));
  }

  #device(device) {
    const usable = [...this.devices.options].some((o) => o.value === device) ? device : "keys";
    this.devices.value = usable;
    this.inputs.use(usable);
    this.live.stage.canvas.classList.toggle("drags", usable === "pointer");
    this.padPlace.replaceChildren(...(usable === "buttons" ? [this.inputs.pad()] : []));
    const keys = this.info.action.map((c, i) => {
      const { plus, minus } = this.mapping.keys[i];
      const less = c.low !== null && c.low >= 0 ? "" : `${keyNames(minus)} / `;
      return `${c.name} ${less}${keyNames(plus)}`;
    });
    const extra = usable === "gamepad" ? " Press a button of the gamepad if it is not found." : "";
    this.keys.textContent = `${keys.join("; ")}.${extra}`;
  }

  // What can be done now: `[label, key, what, main?]`.
  #choices() {
    const { phase, step, who } = this.frame;
    const keep = () => this.drive.say("keep", { tags: words(this.tags.value) });
    const discard = () => this.drive.say("discard");
    const begin = (again) => () => this.drive.say("begin", { again });
    const over = ["Same start again", "", begin(true)];
    const undo = ["Undo last keep", "U", () => this.drive.say("undo"), false, !this.info.episodes];
    const take = this.info.run && [who === "person" ? "Hand back to the policy" : "Take over", "X",
      () => this.drive.say("take", { over: who !== "person" }), who !== "person" && phase === "running"];
    // A policy's own stretch is not a correction.
    const nothing = step === 0 || Boolean(this.info.run && who === "policy");
    return {
      ready: [["Start", "Space", begin(false), true], undo],
      countdown: [["Discard", "Backspace", discard]],
      running: [["Pause", "Space", () => this.drive.say("pause"), !take], take, ["Keep", "", keep, false, nothing],
        ["Discard", "Backspace", discard]],
      paused: [["Go on", "Space", () => this.drive.say("go"), true], take, ["Keep", "Enter", keep, false, nothing],
        ["Discard", "Backspace", discard], over],
      over: [["Keep", "Enter", keep, true, nothing], ["Discard", "Backspace", discard], over, undo],
    }[phase].filter(Boolean);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !this.frame) return;
    const { target } = event;
    if (target.closest("input:not([type=checkbox]), select, textarea, dialog, summary, a")) return;
    // On a button, these keys press it.
    if (target.closest("button, input") && ["Space", "Enter"].includes(event.code)) return;
    const names = { Space: "Space", Enter: "Enter", NumpadEnter: "Enter", Backspace: "Backspace", Delete: "Backspace",
      KeyX: "X", KeyU: "U" };
    const name = names[event.code];
    let found = this.#choices().find(([, key, , , off]) => name && key === name && !off);
    if (!found && name === "Enter" && this.frame.phase === "ready") found = this.#choices()[0];
    if (name === "Space") event.preventDefault();
    if (!found) return;
    event.preventDefault();
    found[2]();
  }

  #frame(frame) {
    const before = this.frame;
    this.frame = frame;
    this.live.frame(frame);
    this.meters.update(frame);
    const { phase, step, note: why, who } = frame;
    const { horizon, period_s: period } = this.info;
    this.time.value = step / horizon;
    this.left_s.textContent = `${fixed((horizon - step) * period, 1)} s left`;
    this.told.textContent = `return ${number(-frame.total_cost)}` +
      (frame.solved == null ? "" : frame.solved ? ", solved" : ", not solved yet");
    this.count.hidden = phase !== "countdown";
    if (phase === "countdown") this.count.textContent = Math.ceil(frame.countdown_s) || "";
    this.slow?.set(frame.speed);
    this.help?.set(frame.assist);
    const changed = !before || before.phase !== phase || before.who !== who || before.note !== why ||
      before.attempt !== frame.attempt || (before.step === 0) !== (step === 0);
    if (changed) this.#phase(before);
  }

  #phase(before) {
    const { phase, note: why, who, total_cost: cost, solved } = this.frame;
    if (["countdown", "running"].includes(phase) && !this.watching) this.inputs.again();
    const driver = this.info.run ? (who === "person" ? " – you drive" : " – the policy drives") : "";
    this.chip.textContent = PHASES[phase] + (phase === "running" ? driver : "");
    this.chip.className = `chip ${phase}`;
    this.why.hidden = !why;
    this.why.textContent = why ?? "";
    const end = `Return ${number(-cost)}${solved == null ? "" : solved ? ", solved" : ", not solved"}.`;
    const words = {
      ready: "Ready. Space starts an episode.", countdown: "Get ready.", running: `Go.${driver}`, paused: "Paused.",
      over: `The episode is over. ${end} Enter keeps it, Backspace discards it.`,
    };
    if (before?.phase !== phase || before?.who !== who || why) say(`${words[phase]} ${why ?? ""}`);
    if (!this.watching) this.#buttons();
    // Watchers are not told what was kept.
    else if (phase === "ready" && before && before.phase !== "ready") this.#list();
  }

  #buttons() {
    const focused = this.buttons.contains(document.activeElement);
    this.buttons.replaceChildren(...this.#choices().map(([label, key, act, main, off]) => {
      const node = button(label, act, { class: main ? "main" : label === "Discard" && "danger", disabled: off });
      if (key) node.append(h("kbd", { "aria-hidden": "true" }, key));
      if (key) node.setAttribute("aria-keyshortcuts", key);
      return node;
    }));
    // Focus does not fall off a button that is gone.
    if (focused) this.buttons.querySelector("button:not(:disabled)")?.focus();
  }

  #kept({ id, episodes, true_return: value, steps }) {
    const text = `Episode ${id} kept: ${plural(steps, "step")}, return ${number(value)}.`;
    this.#total(episodes);
    say(text);
    note(text);
    this.#after();
  }

  #undone({ episodes }) {
    this.#total(episodes);
    note("The episode kept last is out of the dataset again.");
    this.#after();
  }

  #after() {
    if (!this.watching && this.frame) this.#buttons();
    this.#list();
  }

  async #list() {
    const { dataset } = this.info;
    // Before its first episode there is no dataset.
    const there = async () => (await get("/api/datasets")).some((d) => d.name === dataset);
    const view = await attempt(async () => ((await there()) ? get(path("/api/datasets", dataset)) : null));
    if (view === undefined || this.ends.signal.aborted) return;
    this.#total(view?.episodes ?? 0);
    if (!this.watching && this.frame) this.#buttons();
    if (!view?.list.length) {
      this.episodes = null;
      this.keptPlace.replaceChildren(h("h2", {}, "Episodes"), h("p", { class: "soft" }, "None yet: what you keep appears here."));
      return;
    }
    if (!this.episodes) {
      // The newest first: it is what was just done.
      this.episodes = new Episodes(dataset, { newest: true, changed: (v) => {
        this.#total(v.episodes);
            if (!this.watching) this.#buttons();
      } });
      this.keptPlace.replaceChildren(h("h2", {}, "Episodes"), this.episodes.element);
    }
    this.episodes.update(view);
  }

  #link(state) {
    if (!this.lost) return;
    this.lost.hidden = state !== "lost";
    this.lost.textContent = this.watching ? "Connection lost. Trying again …"
      : "Connection lost – the world is paused. Trying again …";
  }
}
