// The hash router: `#/VIEW/NAME?KEY=VALUE`. A view is `async (place, name, values, signal)`: it fills `place`, its
// elements, and stops whatever it started when `signal` is aborted.
import { calmed, report, server } from "./api.js";
import { h } from "./dom.js";
import * as compare from "./compare.js";
import * as datasets from "./datasets.js";
import * as record from "./record.js";
import * as run from "./run.js";
import * as runs from "./runs.js";
import * as training from "./training.js";

const VIEWS = {
  record: [record.show, "Record"],
  datasets: [(place, name, ...more) => (name ? datasets.one : datasets.list)(place, name, ...more), "Datasets"],
  runs: [(place, name, ...more) => (name ? run.show : runs.show)(place, name, ...more), "Runs"],
  train: [training.show, "Train"],
  compare: [compare.show, "Compare"],
};

// A name as it was before it was put into an address.
const plain = (text) => {
  try { return decodeURIComponent(text); } catch { return text; }
};

const view = document.getElementById("view");
let leave = new AbortController();

async function route(moved) {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const [path, search] = location.hash.replace(/^#/, "").split("?");
  const [key, name] = path.split("/").slice(1).map(plain);
  const [show, title] = VIEWS[key] ?? VIEWS.record;
  document.title = `${name ? `${name} – ` : ""}${title} – Costate`;
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.hash === `#/${key === "train" ? "runs" : VIEWS[key] ? key : "record"}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  calmed();
  document.querySelectorAll("dialog").forEach((d) => d.close());
  const place = h("div", { class: `view ${key}` });
  view.replaceChildren(place);
  try {
    await show(place, name, new URLSearchParams(search), signal);
  } catch (error) {
    if (signal.aborted) return;
    report(error);
    if (!place.childElementCount)
      place.append(h("h1", {}, name ?? title), h("p", {}, "This could not be loaded. ", h("a", { href: location.href,
        onclick: (e) => { e.preventDefault(); route(true); } }, "Try again")));
  }
  // A reader's place moves with the view, but not on the first one.
  if (moved && !signal.aborted && !place.contains(document.activeElement)) view.focus({ preventScroll: true });
}

// The address is the router's: this link only moves the focus.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  view.focus();
});
addEventListener("hashchange", () => { scrollTo(0, 0); route(true); });
server().then(({ learning }) => {
  for (const node of document.querySelectorAll("[data-learning]")) node.hidden = !learning;
}).catch(report).finally(() => route(false));
