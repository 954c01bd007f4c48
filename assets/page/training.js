// The form that starts a training.
import { attempt, get, post, query, server } from "./api.js";
import { button, check, field, h, id, plural, rich, select } from "./dom.js";
import { lite } from "./runs.js";
import { seedInput } from "./setup.js";

const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** A setting's control: `{ element, read() }`, where `read` gives undefined for the default and throws what is wrong. */
export function control(setting) {
  const { key, about, default: usual, choices, low, high } = setting;
  const bounds = low != null && high != null ? `from ${low} to ${high}` : low != null ? `at least ${low}` : high != null ? `at most ${high}` : "";
  const meaning = about.replace(/\.?$/, ".");
  const words = rich([meaning, `Default ${shown(usual)}.`, bounds && `Allowed: ${bounds}.`].filter(Boolean).join(" "));
  const problem = h("small", { class: "bad", hidden: true, id: id("problem") });
  let node, value;
  const options = choices.length ? choices : typeof usual === "boolean" ? [true, false] : null;
  if (options) {
    const all = options.some((o) => JSON.stringify(o) === JSON.stringify(usual)) ? options : [usual, ...options];
    node = select(all.map((o) => [JSON.stringify(o), shown(o)]), JSON.stringify(usual));
    value = () => JSON.parse(node.value);
  } else {
    const numeric = typeof usual === "number";
    node = h("input", { type: "text", inputmode: numeric ? "decimal" : null, placeholder: shown(usual), spellcheck: "false", autocomplete: "off" });
    value = () => {
      const text = node.value.trim();
      if (text === "") return usual;
      if (typeof usual === "string") return text;
      let parsed;
      try { parsed = JSON.parse(text); } catch {
        if (numeric) throw new Error(`A number was expected${bounds ? `, ${bounds}` : ""}.`);
        if (usual !== null) throw new Error(`A value like ${shown(usual)} was expected.`);
        return text;
      }
      if (numeric && typeof parsed !== "number") throw new Error("A number was expected.");
      if (typeof parsed === "number" && ((low != null && parsed < low) || (high != null && parsed > high)))
        throw new Error(`A number ${bounds} was expected.`);
      return parsed;
    };
  }
  const element = field(h("code", {}, key), node, words);
  element.append(problem);
  element.dataset.key = key;
  const read = () => {
    const v = value();
    return JSON.stringify(v) === JSON.stringify(usual) ? undefined : v;
  };
  const validate = () => {
    let wrong = "";
    try { read(); } catch (error) { wrong = error.message; }
    problem.textContent = wrong;
    problem.hidden = !wrong;
    node.setAttribute("aria-invalid", Boolean(wrong));
    if (wrong) node.setAttribute("aria-errormessage", problem.id);
    return !wrong;
  };
  // Not when it is left: what a message moves would be missed by the click that leaves it.
  node.addEventListener("input", validate);
  return { key, element, read, validate, node };
}

// All settings of an algorithm: the common ones, others under a fold with a filter.
function settingsOf(form) {
  const controls = form.settings.map((s) => ({ ...control(s), common: s.common }));
  const others = controls.filter((c) => !c.common);
  const filter = h("input", { type: "search", placeholder: "e.g. learning_rate", oninput: () => {
    const wanted = filter.value.trim().toLowerCase();
    others.forEach((c) => { c.element.hidden = !c.element.textContent.toLowerCase().includes(wanted); });
  } });
  const fold = h("details", {}, h("summary", {}, `All settings (${others.length} more)`),
    field("Find a setting", filter), h("div", { class: "fields" }, others.map((c) => c.element)));
  const common = controls.filter((c) => c.common);
  const element = h("div", {}, h("div", { class: "fields" }, common.map((c) => c.element)), others.length ? fold : null);
  const read = () => {
    const wrong = controls.filter((c) => !c.validate());
    if (wrong.length) {
      if (!wrong[0].common) fold.open = true;
      wrong[0].element.hidden = false;
      wrong[0].node.focus();
      return null;
    }
    return controls.map((c) => [c.key, c.read()]).filter(([, v]) => v !== undefined);
  };
  return { element, read };
}

export async function show(place, _name, values, signal) {
  if (!(await server()).learning) { place.replaceChildren(...lite()); return; }
  const datasets = (await get("/api/datasets")).filter((d) => !d.fault && d.episodes > 0);
  if (signal.aborted) return;
  const head = [h("p", { class: "kind" }, h("a", { href: "#/runs" }, "Runs")), h("h1", {}, "Start a training")];
  if (!datasets.length) {
    place.replaceChildren(...head, h("p", { class: "empty" }, "Trainings need demonstrations. ",
      h("a", { href: "#/record" }, "Record some episodes"), " first."));
    return;
  }
  const asked = datasets.find((d) => d.name === values.get("dataset")) ?? datasets[0];
  const dataset = select(datasets.map((d) => [d.name, `${d.name} (${d.env}, ${plural(d.episodes, "episode")})`]), asked.name);
  const algos = h("fieldset", { class: "algorithms" }, h("legend", {}, "Algorithm"));
  const name = h("input", { type: "text", required: true, spellcheck: "false", autocomplete: "off" });
  const seed = seedInput(0);
  const body = h("div", {});
  let forms = [], chosen, own = false, settings;
  name.addEventListener("input", () => { own = true; });

  const choose = (form) => {
    chosen = form;
    settings = settingsOf(form);
    body.replaceChildren(settings.element);
    if (!own) name.value = `${dataset.value}-${form.algo}`;
  };
  const load = async () => {
    body.replaceChildren(h("p", { class: "soft" }, "Loading settings …"));
    const answer = await attempt(() => get(`/api/forms${query({ dataset: dataset.value })}`));
    if (!answer || signal.aborted) return;
    forms = answer;
    const first = forms.find((f) => f.algo === chosen?.algo) ?? forms[0];
    algos.replaceChildren(h("legend", {}, "Algorithm"), ...forms.map((f) => {
      const box = check(h("span", {}, h("strong", {}, f.algo), " ", h("span", { class: "soft" }, f.about)),
        { type: "radio", name: "algo", value: f.algo, checked: f === first, onchange: () => choose(f) });
      return box;
    }));
    if (first) choose(first);
  };
  dataset.addEventListener("change", load);

  const submit = async (event) => {
    event.preventDefault();
    const changed = settings?.read();
    if (!changed) return;
    start.disabled = true;
    const run = await attempt(() => post("/api/train", { dataset: dataset.value, name: name.value.trim(), algo: chosen.algo,
      seed: Number(seed.value), settings: changed }));
    start.disabled = false;
    if (run) location.hash = `#/runs/${encodeURIComponent(run.name)}`;
  };
  const start = h("button", { class: "main" }, "Start");
  place.replaceChildren(...head, h("form", { class: "training", onsubmit: submit },
    field("Demonstrations", dataset), algos,
    h("div", { class: "fields" }, field("Name of the run", name, "Its folder gets this name."), field("Seed", seed, "Of everything that is drawn.")),
    h("h2", {}, "Settings"), body, h("div", { class: "row" }, start, button("Cancel", () => history.back()))));
  await load();
}
