// Episodes of a dataset as a grid: thumbnails, replay, selection, tags, deletion and its undo.
import { attempt, get, path, post } from "./api.js";
import { button, dialog, field, fixed, h, note, number, plural, say } from "./dom.js";
import { Player } from "./player.js";

const MANY = 60; // shown at once

/** Words separated by commas. */
export const words = (text) => [...new Set(text.split(",").map((w) => w.trim()).filter(Boolean))];

const of = (dataset, ...rest) => path("/api/datasets", dataset, ...rest);

/** The film of an episode. */
export const film = (dataset, id) => get(of(dataset, "episodes", id, "film"));

// Numbers change when episodes are deleted: the picture is named after what it shows.
const thumbnail = (dataset, e) =>
  `${of(dataset, "episodes", e.id, "thumbnail.png")}?v=${e.steps}-${e.true_return}`;

/** Plays films in a dialog: `[{ film, caption }]`. */
export function replay(title, items) {
  const player = new Player();
  player.set(items);
  dialog(title, player.element, { wide: true, onclose: () => player.close() });
  player.element.focus();
  player.autoplay();
}

/** Asks for tags; `done({ add, remove })`. */
export function askTags(episodes, done) {
  const present = [...new Set(episodes.flatMap((e) => e.tags))].sort();
  const input = h("input", { type: "text", placeholder: "good, left side" });
  const gone = new Set();
  const chips = present.map((tag) => {
    const chip = button(`Remove ${tag}`, () => {
      gone.has(tag) ? gone.delete(tag) : gone.add(tag);
      chip.setAttribute("aria-pressed", gone.has(tag));
    }, { "aria-pressed": false });
    return chip;
  });
  const form = h("form", { onsubmit: (e) => {
    e.preventDefault();
    close();
    done({ add: words(input.value), remove: [...gone] });
  } }, field("Tags to add", input, "Words to find episodes by, separated by commas."),
  chips.length ? h("div", { class: "row" }, chips) : null,
  h("div", { class: "row" }, h("button", { class: "main" }, "Save tags")));
  const close = dialog(`Tag ${plural(episodes.length, "episode")}`, form);
  input.focus();
}

/**
 * The grid of a dataset. `changed(view)` is called with what the server answers to a change. `actions`: more buttons for
 * chosen episodes, `[label, act(ids), least number]`. `newest`: the last episode first. `element` is filled by
 * `update(view)`.
 */
export class Episodes {
  constructor(dataset, { changed, actions = [], newest = false }) {
    Object.assign(this, { dataset, changed, actions, newest, pictures: new Map(), chosen: new Set(), limit: MANY, tag: "" });
    this.bar = h("div", { class: "row toolbar", role: "group", "aria-label": "Chosen episodes" });
    this.grid = h("ul", { class: "episodes" });
    this.more = h("div", {});
    this.element = h("div", {}, this.bar, this.grid, this.more);
  }

  update(view) {
    this.view = view;
    const ids = new Set(view.list.map((e) => e.id));
    this.chosen = new Set([...this.chosen].filter((i) => ids.has(i)));
    const focused = this.element.contains(document.activeElement) ? document.activeElement.dataset.at : null;
    this.#grid();
    this.#bar();
    if (focused) (this.element.querySelector(`[data-at="${focused}"]`) ?? this.bar.querySelector("button"))?.focus();
  }

  /** Episodes that pass the filter. */
  get listed() {
    const list = this.view.list.filter((e) => !this.tag || e.tags.includes(this.tag));
    return this.newest ? list.reverse() : list;
  }

  async change(what, body, told) {
    const view = await attempt(() => post(of(this.dataset, what), body));
    if (!view) return;
    if (what !== "tag") this.chosen.clear();
    say(told);
    if (what === "undo") note(told);
    else note(told, view.undo ? ["Undo", () => this.undo()] : undefined);
    this.update(view);
    this.changed(view);
  }

  undo() {
    return this.change("undo", {}, "The last change is taken back.");
  }

  remove(ids) {
    return this.change("delete", { episodes: ids }, `${plural(ids.length, "episode")} deleted.`);
  }

  tagged(ids) {
    const list = this.view.list.filter((e) => ids.includes(e.id));
    askTags(list, ({ add, remove }) => {
      if (add.length || remove.length) this.change("tag", { episodes: ids, add, remove }, "Tags saved.");
    });
  }

  async play(ids) {
    const films = await attempt(() => Promise.all(ids.map((id) => film(this.dataset, id))));
    // Not over the page that was gone to meanwhile.
    if (films && this.element.isConnected) replay(films.length === 1 ? `Episode ${ids[0]}` : plural(films.length, "episode"),
      films.map((f, i) => ({ film: f, caption: `Episode ${ids[i]}`, colour: films.length > 1 && `s${i % 8}` })));
  }

  #bar() {
    const ids = [...this.chosen].sort((a, b) => a - b);
    const none = !ids.length;
    const all = this.listed.length > 0 && this.listed.every((e) => this.chosen.has(e.id));
    const tags = [...new Set(this.view.list.flatMap((e) => e.tags))].sort();
    if (!tags.includes(this.tag)) this.tag = "";
    const filter = tags.length && h("select", { "aria-label": "Show episodes with the tag", "data-at": "filter",
      onchange: (e) => { this.tag = e.target.value; this.limit = MANY; this.update(this.view); } },
    h("option", { value: "" }, "All tags"), tags.map((t) => h("option", { selected: t === this.tag }, t)));
    this.bar.replaceChildren(...[
      button(all ? "Select none" : "Select all", () => {
        this.listed.forEach((e) => (all ? this.chosen.delete(e.id) : this.chosen.add(e.id)));
        this.update(this.view);
      }, { disabled: !this.listed.length, "data-at": "all" }),
      this.view.drawn && button("Replay", () => this.play(ids.slice(0, 8)), { disabled: none, "data-at": "play" }),
      button("Tag", () => this.tagged(ids), { disabled: none, "data-at": "tag" }),
      button("Delete", () => this.remove(ids), { disabled: none, class: "danger", "data-at": "delete" }),
      button("Undo", () => this.undo(), { disabled: !this.view.undo, "data-at": "undo",
        title: "Takes back the last deletion or tags" }),
      ...this.actions.map(([label, act, least]) => button(label, () => act(ids), { disabled: ids.length < least })),
      filter || null, h("span", { class: "soft" }, none ? "" : `${ids.length} selected`),
    ].filter(Boolean));
  }

  #grid() {
    const list = this.listed;
    this.grid.replaceChildren();
    this.grid.append(...list.slice(0, this.limit).map((e) => this.#card(e)));
    const rest = list.length - this.limit;
    this.more.replaceChildren(...(rest > 0 ? [button(`Show ${Math.min(rest, MANY)} more of ${rest}`, () => {
      this.limit += MANY;
      this.update(this.view);
    })] : []));
  }

  // A loaded picture goes where its episode goes, whatever number that gets.
  #picture(e) {
    const src = thumbnail(this.dataset, e);
    const key = src.split("?")[1];
    const known = this.pictures.get(key);
    if (known?.naturalWidth && !known.isConnected) return known;
    const picture = h("img", { src, alt: "", loading: "lazy", width: 320, height: 200 });
    this.pictures.set(key, picture);
    return picture;
  }

  #card(e) {
    const { drawn } = this.view;
    const box = h("input", { type: "checkbox", checked: this.chosen.has(e.id), "aria-label": `Select episode ${e.id}`,
      "data-at": `box${e.id}`, onclick: (event) => this.#choose(e.id, box.checked, event.shiftKey) });
    const picture = drawn && h("button", { type: "button", class: "thumb", onclick: () => this.play([e.id]),
      "aria-label": `Replay episode ${e.id}`, "data-at": `play${e.id}` },
    this.#picture(e));
    const success = e.success == null ? null : h("span", { class: e.success ? "good" : "bad" },
      e.success ? "solved" : "not solved");
    return h("li", { class: "card" }, picture,
      h("div", { class: "card-head" }, h("label", { class: "check" }, box, `Episode ${e.id}`), success),
      h("dl", {},
        h("div", {}, h("dt", {}, "length"), h("dd", {}, `${plural(e.steps, "step")}, ${fixed(e.seconds, 1)} s`)),
        h("div", {}, h("dt", {}, "return"), h("dd", {}, number(e.true_return)))),
      e.tags.length ? h("p", { class: "tags" }, e.tags.map((t) => h("span", { class: "tag" }, t))) : null,
      h("div", { class: "row" },
        button("Tag", () => this.tagged([e.id]), { class: "quiet", "aria-label": `Tag episode ${e.id}`, "data-at": `tag${e.id}` }),
        button("Delete", () => this.remove([e.id]), { class: "quiet danger", "aria-label": `Delete episode ${e.id}`,
          "data-at": `delete${e.id}` })));
  }

  // With shift, everything from the box before.
  #choose(id, on, range) {
    const ids = this.listed.map((e) => e.id);
    const [a, b] = [ids.indexOf(range && this.before !== undefined ? this.before : id), ids.indexOf(id)];
    ids.slice(Math.min(a, b), Math.max(a, b) + 1).forEach((i) => (on ? this.chosen.add(i) : this.chosen.delete(i)));
    this.before = id;
    this.update(this.view);
  }
}
