// Datasets: the list, and one with its episodes.
import { get, path, server } from "./api.js";
import { button, h, number, percent, plural, table } from "./dom.js";
import { Episodes } from "./episodes.js";

const link = (to, text, properties = {}) => h("a", { href: to, ...properties }, text);
const named = (view, name, values = {}) => {
  const search = new URLSearchParams(values).toString();
  return `#/${view}${name ? `/${encodeURIComponent(name)}` : ""}${search ? `?${search}` : ""}`;
};

export async function list(place, _name, _values, signal) {
  const [hello, datasets] = await Promise.all([server(), get("/api/datasets")]);
  if (signal.aborted) return;
  place.replaceChildren(h("h1", {}, "Datasets"),
    h("p", {}, "Demonstrations in ", h("code", {}, hello.demos), ". ",
      link("#/record", "Record by hand"), " to make a new one."));
  if (!datasets.length) {
    place.append(h("p", { class: "empty" }, "There is none yet. ", link("#/record", "Record some episodes by hand"),
      ", or let an expert demonstrate: ", h("code", {}, "costate record ENV --output FOLDER"), "."));
    return;
  }
  const state = (d) => {
    if (d.fault) return h("span", { class: "bad" }, d.fault);
    return d.recording ? "being recorded" : "";
  };
  place.append(table("Datasets", [
    ["name", (d) => (d.fault ? d.name : link(named("datasets", d.name), d.name))],
    ["environment", (d) => d.env, "minor"],
    ["demonstrated by", (d) => d.expert, "minor"],
    ["episodes", (d) => (d.fault ? "–" : d.episodes), "n"],
    ["steps", (d) => (d.fault ? "–" : d.steps), "n minor"],
    ["mean return", (d) => number(d.mean_return), "n"],
    ["solved", (d) => percent(d.success), "n"],
    ["remarks", state],
  ], datasets));
}

export async function one(place, name, _values, signal) {
  const [hello, first] = await Promise.all([server(), get(path("/api/datasets", name))]);
  if (signal.aborted) return;
  const facts = h("dl", { class: "figures" });
  const update = (view) => {
    const figure = (title, value) => h("div", {}, h("dt", {}, title), h("dd", {}, value));
    facts.replaceChildren(figure("environment", view.env), figure("demonstrated by", view.expert),
      figure("episodes", view.episodes), figure("steps", view.steps), figure("mean return", number(view.mean_return)),
      view.success == null ? "" : figure("solved", percent(view.success)));
    empty.hidden = view.list.length > 0;
  };
  const compare = (ids) => {
    const items = ids.map((i) => `episode:${name}:${i}`);
    location.hash = `#/compare?env=${encodeURIComponent(first.env)}&with=${encodeURIComponent(items.join(","))}`;
  };
  const episodes = new Episodes(name, { changed: update, actions: first.drawn ? [["Compare", compare, 1]] : [] });
  const empty = h("p", { class: "empty" }, "No episodes. Record some, or undo the deletion.");
  place.replaceChildren(...[
    h("p", { class: "kind" }, link("#/datasets", "Datasets")), h("h1", {}, name), facts,
    first.recording && h("p", { class: "problem" }, "A session records into this dataset now: what it keeps appears here after a reload. ",
      button("Reload", async () => { const v = await get(path("/api/datasets", name)); update(v); episodes.update(v); })),
    h("div", { class: "row" }, first.env && link(named("record", "", { env: first.env, dataset: name }), "Record more", { class: "button" }),
      hello.learning && first.env && link(named("train", "", { dataset: name }), "Train on this", { class: "button main" })),
    !first.drawn && h("p", { class: "soft" }, "The world of these episodes cannot be drawn here: they have no pictures and no replay."),
    h("h2", {}, "Episodes"), empty, episodes.element,
  ].filter(Boolean));
  update(first);
  episodes.update(first);
  document.title = `${name} – ${plural(first.episodes, "episode")} – Costate`;
}
