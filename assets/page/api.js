// Requests to the server, and the one place where errors are shown.
import { button, h } from "./dom.js";

/** What the server refused or failed to do; `status` 0: it did not answer. */
export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Failure(0, "The server does not answer. Is `costate view` still running in its terminal?");
  }
  const body = await answer.json().catch(() => null);
  if (answer.ok) return body;
  throw new Failure(answer.status, body?.message ?? `The server answered ${answer.status} to ${path}.`);
}

export const get = (path) => ask(path);

export const post = (path, body = {}) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

/** A path of names: `path("/api/datasets", name)`. */
export const path = (stem, ...names) => [stem, ...names.map(encodeURIComponent)].join("/");

/** A query of what is known. */
export function query(values) {
  const known = Object.entries(values).filter(([, v]) => v != null && v !== "");
  return known.length ? `?${new URLSearchParams(known)}` : "";
}

/** Shows an error until it is closed or another one comes. */
export function report(error) {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof Failure)) console.error(error);
  const box = h("div", { class: "toast error" }, h("span", {}, message));
  box.append(button("Close", () => box.remove(), { class: "quiet" }));
  document.getElementById("errors").replaceChildren(box);
}

/** Takes the error away, if one is shown. */
export const calmed = () => document.getElementById("errors").replaceChildren();

/** Does something that may fail, and reports it. Returns its value, undefined if it failed. */
export async function attempt(work) {
  try {
    const value = await work();
    return value;
  } catch (error) {
    report(error);
    return undefined;
  }
}

let hello;

/** About the server; asked once. */
export const server = () => (hello ??= get("/api/hello").catch((e) => { hello = undefined; throw e; }));

let worlds;

/** Environments; asked once. */
export const environments = () =>
  (worlds ??= get("/api/environments").catch((e) => { worlds = undefined; throw e; }));
