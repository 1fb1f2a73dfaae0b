// An EventSource that says in one word how it is, and that ends with the page.

const LABELS = {
  idle: "Not started",
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  ended: "Ended",
  stopped: "Stopped",
  displaced: "Made room",
  refused: "Refused",
};

const running = new Set();
let suspended = [];

export class Stream {
  #source = null;
  #events;
  #onEvent;
  #onState;
  #once;

  // `once`: close when the server ends the stream, which EventSource would otherwise ask for again.
  constructor({ url, events, onEvent, onState, once = false }) {
    this.url = url;
    this.#events = events;
    this.#onEvent = onEvent;
    this.#onState = onState;
    this.#once = once;
  }

  static get running() {
    return [...running];
  }

  get isRunning() {
    return this.#source !== null;
  }

  start() {
    this.#close();
    let answered = false;
    const source = new EventSource(this.url);
    this.#source = source;
    running.add(this);
    this.#onState("connecting");
    source.addEventListener("open", () => {
      answered = true;
      this.#onState("live");
    });
    source.addEventListener("error", (event) => {
      // A stream may name one of its events "error" too; that one has data.
      if (!(event instanceof MessageEvent)) this.#broken(answered);
    });
    for (const name of this.#events) {
      source.addEventListener(name, (event) => this.#onEvent(name, event.data));
    }
  }

  stop(state = "stopped") {
    if (!this.isRunning) return;
    this.#close();
    this.#onState(state);
  }

  #close() {
    this.#source?.close();
    this.#source = null;
    running.delete(this);
  }

  #broken(answered) {
    if (this.#source.readyState === EventSource.CLOSED) {
      // The server answered with something else than a stream: 204 when there is no more, 403 and so on when not.
      this.stop(answered ? "ended" : "refused");
    } else if (this.#once && answered) {
      this.stop("ended");
    } else {
      this.#onState("reconnecting");
    }
  }
}

export function showState(element, state) {
  element.dataset.state = state;
  element.textContent = LABELS[state];
}

// Starts a job and returns the URL of its stream; throws where the server won't.
export async function startJob(url, form) {
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
  const response = await fetch(url, { method: "POST", headers: { "X-CSRFToken": token } });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return (await response.json()).events;
}

// A page that is kept for the back button must not keep its connections.
window.addEventListener("pagehide", () => {
  suspended = Stream.running;
  for (const stream of suspended) stream.stop();
});

window.addEventListener("pageshow", (event) => {
  if (event.persisted) for (const stream of suspended) stream.start();
  suspended = [];
});
