// Chooses which pair of dimensions a landscape shows. Without scripts the first pair stays.
"use strict";
(() => {
  function attach(box) {
    const maps = [...box.querySelectorAll("figure")];
    if (maps.length < 2) return;
    const [first, second] = [box.querySelector(".first"), box.querySelector(".second")];
    const names = [...new Set(maps.flatMap((m) => [m.dataset.first, m.dataset.second]))];
    const of = (a, b) => maps.find((m) =>
      (m.dataset.first === a && m.dataset.second === b) || (m.dataset.first === b && m.dataset.second === a));
    const fill = (select, list) => {
      const chosen = select.value;
      select.replaceChildren(...list.map((name) => new Option(name, name)));
      if (list.includes(chosen)) select.value = chosen;
    };
    const show = () => {
      // The second choice holds only what there is a map for.
      fill(second, names.filter((name) => of(first.value, name)));
      const shown = of(first.value, second.value);
      maps.forEach((m) => { m.hidden = m !== shown; });
    };
    fill(first, names);
    first.value = maps[0].dataset.first;
    fill(second, names);
    second.value = maps[0].dataset.second;
    first.addEventListener("change", show);
    second.addEventListener("change", show);
    show();
    box.querySelector(".controls").hidden = false;
  }

  document.querySelectorAll(".landscape").forEach(attach);
})();
