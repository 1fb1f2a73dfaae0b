// A state that is fetched, and a stream of its changes, with nothing lost between the two.

import { Stream } from "./stream.js";

const RETRY = 3000;

export class LiveState {
  #url;
  #onState;
  #onChange;
  #stream;
  #fresh = true; // the stream is new, and its first changes belong to a state that is not here yet
  #held = null; // changes that came while the state was under way

  // `onState(state)` is given what `url` has, at first and after each `reset`; `onChange(name, data)` each event since.
  constructor({ url, stream, events, onState, onChange, onConnection }) {
    this.#url = url;
    this.#onState = onState;
    this.#onChange = onChange;
    this.#stream = new Stream({
      url: stream,
      events: [...events, "reset"],
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

  // The stream first, then the state: what changes in between comes as an event, and is held until the state is here.
  #connected(name) {
    if (name === "connecting") this.#fresh = true;
    if (name !== "live" || !this.#fresh) return; // a stream that comes back brings what was missed
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
    if (this.#held !== held) return; // another one has begun since
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

// Sends JSON, and returns the JSON of the answer; throws an error whose message may be shown.
export async function send(method, url, data) {
  const token = document.querySelector("[data-stream] [name=csrfmiddlewaretoken]").value;
  const headers = { Accept: "application/json", "Content-Type": "application/json", "X-CSRFToken": token };
  let response;
  try {
    response = await fetch(url, { method, headers, body: JSON.stringify(data) });
  } catch {
    throw new Error("The server can’t be reached. Try again.");
  }
  if (!response.ok) throw new Error(await problem(response));
  return response.status === 204 ? null : response.json();
}

async function problem(response) {
  try {
    return Object.values(await response.json()).flat().join(" ");
  } catch {
    return `${response.status} ${response.statusText}`;
  }
}
