// The socket of a recording session. It comes back by itself when the connection is lost.

const KEY = "costate.session";
const WAITS = [250, 500, 1000, 2000]; // ms before each new try; the last one again and again
// A server takes some seconds to see that a page is gone, until when it refuses to let it come back: tries to come back
// after a reload, when the old socket was closed properly, and after a lost connection.
const TRIES = { reload: 3, lost: 7 };

/** The session that this tab drives, over reloads: `{ session, key, dataset }`. */
export const mine = {
  read() {
    try { return JSON.parse(sessionStorage.getItem(KEY)); } catch { return null; }
  },
  write(value) {
    if (value) sessionStorage.setItem(KEY, JSON.stringify(value));
    else sessionStorage.removeItem(KEY);
  },
};

/** Ends the session that this tab drives, if it does, so that another can be opened. */
export function abandon() {
  const own = mine.read();
  mine.write(null);
  return own && new Promise((resolve) => {
    const drive = new Drive({ type: "join", session: own.session, key: own.key }, {
      link: (state) => state !== "connecting" && state !== "open" && resolve(),
      opened: () => drive.leave(),
      unopened: () => resolve(),
    });
  });
}

export class Drive {
  /**
   * `first`: the first word, `{ type: "open", … }` or `{ type: "join", … }`. `on`: what to do with each answer by its
   * type, and `link(state)` with "connecting", "open", "lost" or "closed".
   */
  constructor(first, on) {
    Object.assign(this, { first, on, tries: 0, refusals: 0, n: 0, opened: null, over: false });
    this.#connect();
  }

  /** Whether this page drives; others watch. */
  get drives() {
    return Boolean(this.opened?.key);
  }

  /** Says something; lost words of a lost connection are not said later. */
  say(type, values = {}) {
    if (this.socket.readyState !== WebSocket.OPEN || !this.opened) return false;
    this.socket.send(JSON.stringify({ type, ...values }));
    return true;
  }

  /** Says what the person does from now on. Returns the input's number, 0 if it was not sent. */
  input(values) {
    const n = this.n + 1;
    if (!this.drives || !this.say("input", { n, ...values })) return 0;
    this.n = n;
    return n;
  }

  /** Ends the session, or watching it. */
  leave() {
    if (this.drives) this.say("leave");
    this.close(true);
  }

  /** Closes the socket; a driver may come back unless the session is over. */
  close(ended = false) {
    if (ended && this.drives) mine.write(null);
    this.over = true;
    clearTimeout(this.later);
    this.socket.close();
  }

  #connect() {
    this.on.link(this.tries ? "lost" : "connecting");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = (this.socket = new WebSocket(`${scheme}://${location.host}/api/drive`));
    let greeted = false;
    socket.onopen = () => socket.send(JSON.stringify(this.first));
    socket.onmessage = ({ data }) => {
      const answer = JSON.parse(data);
      if (answer.type === "opened") {
        greeted = true;
        this.tries = this.refusals = 0;
        this.#opened(answer);
      } else if (answer.type === "refused" && !greeted) {
        this.refusals += 1;
        if (this.first.key && this.refusals <= (this.opened ? TRIES.lost : TRIES.reload)) { socket.close(); return; }
        // There is no session to come back to.
        this.close(true);
        if (this.first.type === "join") mine.write(null);
        this.on.unopened(answer);
        return;
      } else if (answer.type === "ended") {
        this.close(true);
      } else if (answer.type === "frame") {
        this.n = Math.max(this.n, answer.n);
      }
      this.on[answer.type]?.(answer);
    };
    socket.onclose = () => {
      if (this.over) { this.on.link("closed"); return; }
      this.on.link("lost");
      this.later = setTimeout(() => this.#connect(), WAITS[Math.min(this.tries++, WAITS.length - 1)]);
    };
  }

  #opened(answer) {
    // Coming back, the server may leave out a key that the page has.
    this.opened = { ...answer, key: answer.key ?? this.first.key ?? null };
    if (this.drives) mine.write({ session: answer.session, key: this.opened.key, dataset: answer.dataset });
    this.first = { type: "join", session: answer.session, ...(this.drives && { key: this.opened.key }) };
    this.on.link("open");
  }
}
