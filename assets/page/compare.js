// Compare: episodes, policies and experts side by side on one clock, under a learned cost.
import { attempt, environments, get, path, query, server } from "./api.js";
import { button, field, fixed, h, id, number, select, solved, table } from "./dom.js";
import { Chart } from "./charts.js";
import { Landscapes } from "./landscape.js";
import { Player, seconds } from "./player.js";
import { seedInput } from "./setup.js";

const MOST = 8; // side by side

// What is compared is in the address: `with=expert:NAME:VARIANT,run:NAME,episode:DATASET:NUMBER`.
function parse(text) {
  const [kind, name, which] = text.split(":");
  if (kind === "episode") return name && which !== undefined ? { kind, name, number: Number(which) } : null;
  if (kind === "expert") return { kind, name: name || null, variant: which || null };
  return kind === "run" && name ? { kind, name } : null;
}

const written = ({ kind, name, number, variant }) => [kind, name, number, variant].filter((v) => v != null).join(":");

const caption = ({ kind, name, number, variant }) => ({
  episode: `${name}, episode ${number}`, run: `policy of ${name}`, expert: `expert ${name}${variant ? ` in ${variant}` : ""}`,
})[kind];

const byExpert = ({ name, variant }, seed) => ({ expert: name, variants: variant ?? "", seed });

const film = (item, env, seed) => ({
  episode: () => get(path("/api/datasets", item.name, "episodes", item.number, "film")),
  run: () => get(path("/api/runs", item.name, "film") + query({ seed })),
  expert: () => get(path("/api/environments", env, "film") + query(byExpert(item, seed))),
})[item.kind]();

const costs = (item, env, seed, run) => get(path("/api/runs", run, "costs") + query({
  episode: { dataset: item.name, episode: item.number },
  run: { run: item.name, seed },
  expert: { env, ...byExpert(item, seed) },
}[item.kind]));

export async function show(place, _name, values, signal) {
  const [worlds, datasets, hello] = await Promise.all([environments(), get("/api/datasets"), server()]);
  const runs = hello.learning ? await get("/api/runs") : [];
  if (signal.aborted) return;
  const chosen = { env: values.get("env") ?? datasets.find((d) => !d.fault)?.env ?? worlds[0].name,
    seed: Number(values.get("seed") ?? 0), cost: values.get("cost") ?? "" };
  const world = worlds.find((w) => w.name === chosen.env) ?? worlds[0];
  chosen.env = world.name;
  chosen.items = (values.get("with") ?? "").split(",").map(parse).filter(Boolean)
    .map((item) => (item.kind === "expert" ? { ...item, name: item.name ?? world.experts[0] } : item))
    .filter((item) => item.name).slice(0, MOST);
  const go = (change) => {
    // The buttons on screen stay until the next view is there: a second click adds to the first.
    const { env, seed, cost, items } = Object.assign(chosen, change);
    location.hash = `#/compare${query({ env, seed: seed || null, with: items.map(written).join(","), cost })}`;
  };
  const films = h("section", { "aria-label": "Films" });
  place.replaceChildren(h("h1", {}, "Compare"), h("p", {},
    hello.learning ? "Demonstrations, learned policies and experts on one clock, and what a learned cost thinks of them."
      : "Demonstrations and experts on one clock."), choices(chosen, { worlds, datasets, runs, go }), films);
  if (!chosen.items.length) {
    films.append(h("p", { class: "empty" }, "Add two or more of the above: for example an expert and an episode of a dataset."));
    return;
  }
  films.append(h("p", { class: "soft" }, "Playing them …"));
  await fill(films, chosen, signal);
}

// The form above the films.
function choices(chosen, { worlds, datasets, runs, go }) {
  const { env, items, seed, cost } = chosen;
  const world = worlds.find((w) => w.name === env);
  const add = (item) => go({ items: [...chosen.items, item] });
  const full = items.length >= MOST;
  const adder = (label, options, act, none, more) => {
    if (!options.length) return h("div", { class: "field" }, h("span", { class: "label" }, label), h("small", {}, none));
    const node = select(options, undefined, { id: id("add") });
    return h("div", { class: "field" }, h("label", { for: node.id }, label), h("div", { class: "row tight" }, node, more,
      button("Add", () => act(node.value), { disabled: full, "aria-label": `Add ${label.toLowerCase()}` })));
  };
  const variant = world.variants.length
    ? select([["", "unchanged"], ...world.variants.map(([name]) => [name, `in ${name}`])], "", { "aria-label": "World of the expert" }) : null;
  const here = datasets.filter((d) => d.env === env && !d.fault && d.episodes > 0);
  const number = h("input", { type: "number", min: 0, step: 1, value: 0, class: "short", "aria-label": "Episode number" });
  const policies = runs.filter((r) => r.env === env && r.policy), judges = runs.filter((r) => r.env === env && r.cost);
  const worldSelect = select(worlds.map((w) => w.name), env, { onchange: () => go({ env: worldSelect.value, items: [], cost: "" }) });
  const start = seedInput(seed, { onchange: () => start.checkValidity() && go({ seed: Number(start.value) }) });
  const judge = select([["", "None: the true cost"], ...judges.map((r) => [r.name, `${r.name} (${r.algo})`])], cost,
    { onchange: () => go({ cost: judge.value }) });
  return h("div", { class: "choices" },
    h("div", { class: "fields" }, field("Environment", worldSelect),
      field("Start seed", start, "Experts and policies start from the same state."),
      runs.length ? field("Learned cost", judge, judges.length ? "Of a run." : "No run here has a learned cost yet.") : null),
    h("div", { class: "fields" },
      adder("Expert", world.experts, (name) => add({ kind: "expert", name, variant: variant?.value || null }),
        "This environment has none.", variant),
      adder("Episode", here.map((d) => d.name), (name) => add({ kind: "episode", name, number: Number(number.value) }),
        "No dataset of this environment yet.", number),
      runs.length ? adder("Policy", policies.map((r) => r.name), (name) => add({ kind: "run", name }), "No run here has a policy yet.") : null),
    items.length ? h("ul", { class: "chips" }, items.map((item, i) => h("li", {}, h("span", { class: `key s${i}` }), caption(item),
      button("×", () => go({ items: chosen.items.filter((o) => o !== item) }), { class: "quiet", "aria-label": `Remove ${caption(item)}` })))) : null);
}

// Films, curves, map and table of what is chosen.
async function fill(section, { items, env, seed, cost }, signal) {
  const missing = [];
  const asked = await Promise.all(items.map((item, i) => film(item, env, seed).then(
    (f) => ({ item, film: f, caption: caption(item), colour: `s${i}` }),
    (error) => { missing.push(`${caption(item)}: ${error.message}`); })));
  const shown = asked.filter(Boolean);
  const judged = cost ? await attempt(() => Promise.all(shown.map((x) => costs(x.item, env, seed, cost)))) : null;
  if (signal.aborted) return;
  const problems = missing.map((m) => h("p", { class: "problem", role: "alert" }, m));
  if (!shown.length) { section.replaceChildren(...problems); return; }

  const lines = shown.map((x, i) => judged?.[i]?.costs ?? x.film.costs);
  const longest = Math.max(...shown.map((x) => seconds(x.film)));
  const values = lines.flat().filter(Number.isFinite);
  const bounds = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  const title = judged ? `Learned cost of a step (${cost})` : "True cost of a step";
  let map;
  const charts = [];
  const player = new Player({ ontime: (time) => {
    charts.forEach((c, i) => c.cursor(Math.min(time, seconds(shown[i].film))));
    map?.show(time);
  } });
  signal.addEventListener("abort", () => player.close());
  player.set(shown);
  shown.forEach((x, i) => {
    const chart = new Chart({ title: `${title}, ${x.caption}`, reads: "seconds", colour: x.colour, height: 130 });
    chart.update(lines[i].map((v, t) => [t * x.film.period_s, v]), { range: [0, longest], bounds });
    charts.push(chart);
    player.shown[i].foot.append(h("p", { class: "soft" }, title), chart.element);
  });
  const facts = table("Results", [
    ["film", (x) => [h("span", { class: `key ${x.colour}` }), x.caption]],
    ["return", (x) => number(x.film.true_return), "n"],
    ["solved", (x) => solved(x.film.success), "n"],
    ["steps", (x) => x.film.costs.length, "n"],
    ...(judged ? [["mean learned cost", (x) => {
      const line = lines[shown.indexOf(x)];
      return fixed(line.reduce((a, b) => a + b, 0) / line.length, 3);
    }, "n"]] : []),
  ], shown);
  section.replaceChildren(...problems, player.element, h("h2", {}, "Results"), facts);
  player.autoplay();
  if (!cost) return;
  // Maps take the server a while: films need not wait for them.
  const wait = h("p", { class: "soft" }, "Drawing the map of the learned cost …");
  section.append(h("h2", {}, `Learned cost of ${cost}`), wait);
  const maps = await attempt(() => get(path("/api/runs", cost, "landscapes")));
  if (signal.aborted) return;
  if (!maps?.length) { wait.textContent = "There is no map of this cost."; return; }
  map = new Landscapes(maps, shown, signal);
  wait.replaceWith(map.element);
  map.show(player.time);
}
