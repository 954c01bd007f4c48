// Record: choose a world, drive it by hand, keep good episodes.
import { abandon, mine } from "./drive.js";
import { button, h } from "./dom.js";
import { Session } from "./session.js";
import { setup } from "./setup.js";

export async function show(place, _name, values, signal) {
  let session;
  signal.addEventListener("abort", () => session?.close());

  const choose = async (problem) => {
    session = null;
    const form = await setup(values, enter);
    if (signal.aborted) return;
    place.replaceChildren(h("h1", {}, "Record by hand"),
      h("p", {}, "Choose a world, drive it yourself, and keep the episodes that went well as demonstrations."),
      ...(problem ? [h("p", { class: "problem", role: "alert" }, problem)] : []), form);
  };
  const enter = async (first) => {
    if (first.type === "open") await abandon();
    if (signal.aborted) return;
    session = new Session(place, first, { refused: (answer) => refused(first, answer), left: choose, signal });
  };
  // Somebody else records into the dataset, or there is no such session any more.
  const refused = (first, { message, held_by: other }) => {
    if (other === undefined) return choose(message);
    const heading = h("h1", { tabindex: -1 }, "Somebody is recording here");
    place.replaceChildren(heading, h("p", { role: "alert" }, message),
      h("div", { class: "row" },
        button("Take over", () => enter({ ...first, take: true }), { class: "main" }),
        button("Watch", () => enter({ type: "join", session: other })),
        button("Back", () => choose())),
      h("p", { class: "soft" }, "Taking over ends the other session; what it has kept stays in the dataset."));
    heading.focus();
    return undefined;
  };

  const watched = values.get("watch");
  const own = mine.read();
  const asks = values.has("env") || values.has("run") || (values.has("dataset") && values.get("dataset") !== own?.dataset);
  if (watched) enter({ type: "join", session: Number(watched) });
  else if (own && !asks) enter({ type: "join", session: own.session, key: own.key });
  else await choose();
}
