// The world of a session on a stage: from the pose on screen towards the newest frame, at the screen's own rate.
import { Stage, between, betweenViews } from "./stage.js";

/**
 * For tests of latency and frame rate, as `window.costate`. Times are those of `performance.now()`.
 *   drawn    pictures of a session drawn since the page was loaded
 *   frames   frames received
 *   applied  number of the last input whose effect was drawn
 *   inputs   the last 500 inputs: { n, sent, received, drawn }: when it was sent, when the first frame that shows it
 *            arrived, when the first picture moved towards that frame was drawn
 */
export const measured = (window.costate = { drawn: 0, frames: 0, applied: 0, inputs: [] });

/** Notes that an input was sent. */
export function sent(n) {
  if (!n) return;
  measured.inputs.push({ n, sent: performance.now(), received: null, drawn: null });
  if (measured.inputs.length > 500) measured.inputs.shift();
}

export class Live {
  constructor(label, properties) {
    this.stage = new Stage(label, properties);
    this.from = this.to = null;
    this.moved = false;
    this.running = false;
  }

  /** A session was opened, or come back to: what was on screen stays until its next frame. */
  open(opened) {
    this.period = opened.period_s;
    this.stage.backdrop = opened.backdrop;
  }

  /** Moves from what is on screen to a new frame. */
  frame(frame) {
    const now = performance.now();
    const jump = !this.to || frame.attempt !== this.to.attempt || frame.step < this.to.step;
    this.from = jump ? null : this.pose(now);
    if (!this.to) this.stage.shape(frame.view);
    this.to = frame;
    this.since = now;
    this.lasts = (1000 * this.period) / Math.max(frame.speed, 0.01);
    measured.frames += 1;
    for (const input of measured.inputs)
      if (input.received === null && input.n <= frame.n) input.received = now;
    if (!this.running) this.#run();
  }

  /** Parts and view at a time. */
  pose(now) {
    const f = Math.min(Math.max((now - this.since) / this.lasts, 0), 1);
    if (!this.from) return { parts: this.to.parts, view: this.to.view };
    return { parts: between(this.from.parts, this.to.parts, f), view: betweenViews(this.from.view, this.to.view, f) };
  }

  close() {
    this.running = false;
    this.closed = true;
    this.stage.close();
  }

  #run() {
    this.running = true;
    const tick = () => {
      if (!this.running) return;
      const now = performance.now();
      const { parts, view } = this.pose(now);
      this.stage.draw(parts, view);
      measured.drawn += 1;
      measured.applied = this.to.n;
      for (const input of measured.inputs)
        if (input.received !== null && input.drawn === null && now > this.since) input.drawn = now;
      // A world that stands still is drawn once more, then not until it moves.
      const still = this.to.phase !== "running" && now > this.since + this.lasts;
      if (still) this.running = false;
      else requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }
}
