// The form in which a recording session is chosen.
import { attempt, environments, get, path, query, server } from "./api.js";
import { button, check, field, h, id, kept, plural, select } from "./dom.js";
import { replay } from "./episodes.js";
import { DEVICES, usual } from "./inputs.js";
import { keyNames, mapping } from "./mapping.js";

/** A whole number from 0. */
export const seedInput = (value, properties = {}) => h("input", { type: "number", min: 0, step: 1, value,
  inputmode: "numeric", required: true, ...properties });

// What a person does with which keys, in a line.
function keysLine(env) {
  const { keys } = mapping(env.name, env.action);
  return env.action.map((c, i) => {
    const less = c.low !== null && c.low >= 0 ? "" : `${keyNames(keys[i].minus)} / `;
    return `${c.name}: ${less}${keyNames(keys[i].plus)}`;
  }).join("; ");
}

/** The form; `open(first)` is called with the first word of the session. `asked`: values of the address. */
export async function setup(asked, open) {
  const [worlds, datasets, hello] = await Promise.all([environments(), get("/api/datasets"), server()]);
  const runs = hello.learning ? await get("/api/runs") : [];
  const last = kept.read("setup", {});
  const given = datasets.find((d) => d.name === asked.get("dataset"));
  const first = asked.get("env") ?? given?.env ?? runs.find((r) => r.name === asked.get("run"))?.env ?? last.env;
  const env = select(worlds.map((w) => w.name), worlds.some((w) => w.name === first) ? first : "cart_pole");
  const task = h("p", { class: "task" });
  const seed = seedInput(last.seed ?? 0);
  const names = h("datalist", { id: id("names") });
  const dataset = h("input", { type: "text", list: names.id, required: true, autocomplete: "off", spellcheck: "false" });
  const about = h("small", {});
  const rest = h("div", { class: "fields" });
  const device = select(DEVICES, kept.read("device", usual()));
  let expert, run, variants;

  const world = () => worlds.find((w) => w.name === env.value);
  const known = () => {
    const found = datasets.find((d) => d.name === dataset.value);
    if (!found) about.textContent = "A new dataset. Datasets keep episodes in their folder on disk.";
    else if (found.env !== env.value) about.textContent = `This dataset is of ${found.env}: choose another name.`;
    else about.textContent = `Holds ${plural(found.episodes, "episode")} already; yours are added.` +
      (found.recording ? " It is being recorded now." : "");
  };
  const changed = (keep) => {
    const w = world();
    task.replaceChildren(h("strong", {}, w.summary), ` – ${plural(w.horizon, "step")}, ` +
      `${+(w.horizon * w.period_s).toFixed(1)} s at most. Keys: ${keysLine(w)}.`);
    dataset.value = keep && asked.get("dataset") ? asked.get("dataset") : `${w.name}-human`;
    names.replaceChildren(...datasets.filter((d) => d.env === w.name).map((d) => h("option", { value: d.name })));
    variants = w.variants.map(([name, meaning]) => check(h("span", {}, h("code", {}, name), ` ${meaning}`), { value: name }));
    expert = select([["none", "No expert"], ...w.experts.map((e, i) => [e, i ? e : `${e} (best)`])],
      w.experts.length ? w.experts[0] : "none");
    const policies = runs.filter((r) => r.env === w.name && r.policy);
    run = select([["", "None: I drive"], ...policies.map((r) => [r.name, `${r.name} (${r.algo})`])],
      keep ? asked.get("run") ?? "" : "");
    rest.replaceChildren(...[
      w.experts.length ? field("Expert", expert, "It can help with a share of the action, and show what it would do.") : null,
      hello.learning ? field("Policy that drives", run, policies.length
        ? "A run's policy drives until you take over; what you do then is kept as corrections."
        : "No run in this environment has a policy yet.") : null,
      variants.length ? h("fieldset", { class: "variants" }, h("legend", {}, "Variants of the world"), variants) : null,
    ].filter(Boolean));
    known();
  };
  const watch = async () => {
    const w = world();
    const film = await attempt(() => get(path("/api/environments", w.name, "film") + query({
      variants: variants.filter((v) => v.box.checked).map((v) => v.box.value).join(","),
      expert: expert.value === "none" ? w.experts[0] : expert.value, seed: seed.value })));
    if (film) replay(film.title, [{ film, caption: film.title }]);
  };
  env.addEventListener("change", () => changed(false));
  dataset.addEventListener("input", known);
  changed(true);

  const form = h("form", { class: "setup", onsubmit: (event) => {
    event.preventDefault();
    kept.write("setup", { env: env.value, seed: Number(seed.value) });
    kept.write("device", device.value);
    open({
      type: "open", env: env.value, dataset: dataset.value.trim(), seed: Number(seed.value),
      variants: variants.filter((v) => v.box.checked).map((v) => v.box.value),
      ...(expert.value !== "none" && { expert: expert.value }),
      ...(run.value && { run: run.value }),
    });
  } }, field("Environment", env), task,
  h("div", { class: "fields" },
    h("div", {}, field("Dataset to record into", dataset), about),
    field("Seed of the start states", seed, "The same seed gives the same starts."),
    field("Input", device, "The keyboard always works; keys can be changed in the session.")),
  names, rest,
  h("div", { class: "row" }, h("button", { class: "main" }, "Open the world"),
    button("Watch an expert first", watch)));
  return form;
}
