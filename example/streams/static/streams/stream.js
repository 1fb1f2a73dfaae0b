// A stream that reports its state, and that is closed when the user leaves the page.

import { open } from "../adrf_sse/sse.js";

const LABELS = {
  idle: "Not started",
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  ended: "Ended",
  completed: "Complete",
  failed: "Failed",
  lost: "Lost",
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
  #options;

  // `once`: close when the server ends the response. Otherwise, the stream is requested again, unless it is finite.
  // The other options are those of open() in sse.js.
  constructor({ url, events, onEvent, onState, once = false, ...options }) {
    this.url = url;
    this.#events = events;
    this.#onEvent = onEvent;
    this.#onState = onState;
    this.#once = once;
    this.#options = options;
  }

  static get running() {
    return [...running];
  }

  get isRunning() {
    return this.#source !== null;
  }

  start() {
    this.#close();
    const source = open(this.url, this.#options);
    this.#source = source;
    running.add(this);
    this.#onState("connecting");
    source.addEventListener("open", () => this.#onState("live"));
    source.addEventListener("error", (event) => this.#broken(event));
    source.addEventListener("close", ({ reason }) => {
      if (source === this.#source) this.stop(reason === "ended" ? "ended" : "refused");
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
    const source = this.#source;
    this.#source = null;
    running.delete(this);
    source?.close();
  }

  #broken(event) {
    // A stream can also send an event with the name "error". Such an event has data.
    if ("data" in event || event.delay === null) return;
    if (this.#once && event.error === null) this.stop("ended");
    else this.#onState("reconnecting");
  }
}

export function showState(element, state) {
  element.dataset.state = state;
  element.textContent = LABELS[state];
}

// Start a job and return its ID and the URL of its stream, `events`. Throws an error if the server refuses.
export async function startJob(url, form) {
  const response = await fetch(url, { method: "POST", headers: csrfHeaders(form) });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return response.json();
}

// Return the headers that Django expects in a request that changes something.
export function csrfHeaders(form) {
  return { "X-CSRFToken": form.querySelector("[name=csrfmiddlewaretoken]").value };
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
