// Plays motions side by side on one clock. Data: see src/report/player.rs.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const HOLD = 1; // seconds at the end before it starts again
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  // The numbers of a motion at a time, between the two nearest frames.
  function sample(motion, time) {
    const { step, end, frames, views, styles } = motion;
    const last = frames.length - 1;
    if (last < 1) return [frames[0], views[0]];
    const t = Math.min(Math.max(time, 0), end);
    const i = Math.min(Math.floor(t / step), last - 1);
    const from = i * step, to = i + 1 === last ? end : from + step;
    const f = to > from ? Math.min((t - from) / (to - from), 1) : 1;
    const mix = (a, b) => a.map((v, k) => v + f * (b[k] - v));
    const [a, b] = [frames[i], frames[i + 1]];
    const alike = a.length === b.length && shapes(styles, a).every((s) => a[s.at] === b[s.at]);
    const view = views.length ? mix(views[i], views[i + 1]) : undefined;
    // Frames of other shapes cannot be mixed.
    return [alike ? mix(a, b) : f < 0.5 ? a : b, view];
  }

  // Where the shapes of a frame start, and their styles.
  function shapes(styles, frame) {
    const found = [];
    for (let at = 0; at < frame.length; ) {
      const style = styles[Math.round(frame[at])];
      found.push({ at, style });
      at += 1 + 2 * style[3];
    }
    return found;
  }

  function draw(stage, motion, time) {
    const [frame, view] = sample(motion, time);
    const live = stage.querySelector(".live");
    const nodes = [];
    shapes(motion.styles, frame).forEach(({ at, style: [role, kind, radius, count] }, k) => {
      let node = live.children[k];
      if (!node || node.tagName !== kind) node = document.createElementNS(SVG, kind);
      const p = frame.slice(at + 1, at + 1 + 2 * count).map((v) => v.toFixed(1));
      const set = (values) => Object.entries(values).forEach(([n, v]) => node.setAttribute(n, v));
      set({ class: role });
      if (kind === "circle") set({ cx: p[0], cy: p[1], r: radius });
      else if (kind === "line")
        set({ x1: p[0], y1: p[1], x2: p[2], y2: p[3], "stroke-width": 2 * radius });
      else set({ points: p.join(" ") });
      nodes.push(node);
    });
    const same = nodes.length === live.children.length && nodes.every((n, k) => n === live.children[k]);
    if (!same) live.replaceChildren(...nodes);
    if (view) stage.setAttribute("viewBox", view.map((v) => v.toFixed(1)).join(" "));
  }

  function start(player) {
    const motions = JSON.parse(player.querySelector("script").textContent);
    const stages = [...player.querySelectorAll(".stage")];
    const [play, seek, clock, speed] = [".play", ".seek", ".clock", ".speed"].map((s) =>
      player.querySelector(s),
    );
    const end = Math.max(...motions.map((m) => m.end));
    if (!(end > 0)) return;
    let time = 0, playing = false, chosen = false, before = 0;

    const show = () => {
      const t = Math.min(time, end);
      stages.forEach((stage, i) => draw(stage, motions[i], t));
      seek.value = String(Math.round((1000 * t) / end));
      clock.textContent = `${t.toFixed(2)} s`;
      seek.setAttribute("aria-valuetext", `${t.toFixed(1)} seconds`);
    };
    const tick = (now) => {
      if (!playing) return;
      time += Math.min(now - before, 100) / 1000 * Number(speed.value);
      before = now;
      if (time > end + HOLD * Number(speed.value)) time = 0;
      show();
      requestAnimationFrame(tick);
    };
    const run = (go) => {
      if (go === playing) return;
      playing = go;
      play.textContent = go ? "Pause" : "Play";
      if (go) {
        if (time >= end) time = 0;
        before = performance.now();
        requestAnimationFrame(tick);
      }
    };
    play.addEventListener("click", () => {
      chosen = true;
      run(!playing);
    });
    seek.addEventListener("input", () => {
      chosen = true;
      run(false);
      time = (Number(seek.value) / 1000) * end;
      show();
    });
    // Plays by itself only in sight, and never against the reader's settings or choice.
    new IntersectionObserver(([entry]) => {
      if (!entry.isIntersecting) run(false);
      else if (!chosen && !calm.matches) run(true);
    }, { threshold: 0.4 }).observe(player);
    calm.addEventListener("change", () => calm.matches && run(false));
    player.querySelector(".controls").hidden = false;
    show();
  }

  document.querySelectorAll(".player").forEach(start);
})();
