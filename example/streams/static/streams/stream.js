// An EventSource that reports its state, and that is closed when the user leaves the page.

const LABELS = {
  idle: "Not started",
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  ended: "Ended",
  stopped: "Stopped",
  displaced: "Replaced",
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

  // `once`: close when the server ends the stream. Otherwise, EventSource would request it again.
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
      // A stream can also send an event with the name "error". Such an event has data.
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
      // The response was not a stream: it was a 204 at the end of the stream, or an error such as 403.
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

// Start a job and return its ID and the URL of its stream, `events`. Throws an error if the server refuses.
export async function startJob(url, form) {
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
  const response = await fetch(url, { method: "POST", headers: { "X-CSRFToken": token } });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return response.json();
}

// The browser may keep the page for its back button, but the page must close its connections.
window.addEventListener("pagehide", () => {
  suspended = Stream.running;
  for (const stream of suspended) stream.stop();
});

window.addEventListener("pageshow", (event) => {
  if (event.persisted) for (const stream of suspended) stream.start();
  suspended = [];
});
