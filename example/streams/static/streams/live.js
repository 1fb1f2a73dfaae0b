// Fetch a state and apply a stream of its changes, without losing a change in between.

import { Stream } from "./stream.js";

const RETRY = 3000;

export class LiveState {
  #url;
  #onState;
  #onChange;
  #stream;
  #fresh = true; // the stream is new, so the state has to be fetched
  #held = null; // changes that arrive while the state is being fetched

  // Calls `onState(state)` with the response of `url`, at the start and after each `reset`. Calls `onChange(name, data)`
  // for each later event.
  constructor({ url, stream, events, onState, onChange, onConnection }) {
    this.#url = url;
    this.#onState = onState;
    this.#onChange = onChange;
    this.#stream = new Stream({
      url: stream,
      events: [...events, "reset"],
      shared: true,
      onEvent: (name, data) => this.#take(name, data),
      onState: (name) => {
        onConnection(name);
        this.#connected(name);
      },
    });
  }

  start() {
    this.#stream.start();
  }

  // Open the stream first, then fetch the state. A change in between arrives as an event and waits for the state.
  #connected(name) {
    if (name === "connecting") this.#fresh = true;
    if (name !== "live" || !this.#fresh) return; // a stream that reconnects sends the missed events
    this.#fresh = false;
    this.#fetch();
  }

  #take(name, data) {
    if (name === "reset") this.#fetch();
    else if (this.#held !== null) this.#held.push([name, data]);
    else this.#onChange(name, JSON.parse(data));
  }

  async #fetch() {
    const held = (this.#held = []);
    let state = null;
    try {
      state = await fetched(this.#url);
    } catch {
      setTimeout(() => this.#fetch(), RETRY);
    }
    if (this.#held !== held) return; // a later #fetch() has started
    this.#held = null;
    if (state !== null) this.#onState(state);
    for (const [name, data] of held) this.#onChange(name, JSON.parse(data));
  }
}

async function fetched(url) {
  const response = await fetch(url, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return response.json();
}

// Send JSON and return the JSON of the response. Throws an error with a message for the user, and with the status of the
// response if there is one.
export async function send(method, url, data, others = {}) {
  const token = document.querySelector("[data-stream] [name=csrfmiddlewaretoken]").value;
  const headers = { Accept: "application/json", "Content-Type": "application/json", "X-CSRFToken": token, ...others };
  let response;
  try {
    response = await fetch(url, { method, headers, body: JSON.stringify(data) });
  } catch {
    throw new Error("The server can’t be reached. Try again.");
  }
  if (!response.ok) throw Object.assign(new Error(await problem(response)), { status: response.status });
  return response.status === 204 ? null : response.json();
}

async function problem(response) {
  try {
    return Object.values(await response.json()).flat().join(" ");
  } catch {
    return `${response.status} ${response.statusText}`;
  }
}
