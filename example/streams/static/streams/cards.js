// The index page shows a log of each stream. The number of open streams is limited, because a browser opens at most
// six connections to a server, and the page needs some of them itself.

import { Stream, csrfHeaders, showState, startJob } from "./stream.js";

const MAX_RUNNING = 4;
const MAX_LINES = 50;

const count = document.querySelector("[data-count]");

class Card {
  constructor(element) {
    this.data = element.dataset;
    this.log = element.querySelector("[role=log]");
    this.state = element.querySelector("[data-state]");
    this.button = element.querySelector("[data-toggle]");
    this.refused = element.querySelector("[data-refused]");
    this.form = element.querySelector("form");
    this.stream = new Stream({
      url: this.data.url,
      events: this.data.events.split(" "),
      onEvent: (name, data) => this.add(name, data),
      onState: (state) => this.show(state),
      once: "once" in this.data,
      ...("body" in this.data && { body: JSON.parse(this.data.body), headers: csrfHeaders(this.form) }),
    });
    this.button.addEventListener("click", () => this.toggle());
    this.button.disabled = false;
  }

  toggle() {
    if (this.button.ariaDisabled === "true") return;
    if (this.stream.isRunning) this.stream.stop();
    else this.start();
  }

  async start() {
    makeRoom();
    this.log.replaceChildren();
    this.began = performance.now();
    try {
      if ("job" in this.data) await this.startJob();
      this.stream.start();
    } catch {
      this.show("refused");
    }
  }

  async startJob() {
    this.button.ariaDisabled = "true"; // a button that is disabled loses the focus
    try {
      this.stream.url = (await startJob(this.data.url, this.form)).events;
    } finally {
      this.button.ariaDisabled = "false";
    }
    makeRoom(); // other streams may have started in the meantime
  }

  show(state) {
    showState(this.state, state);
    this.refused.hidden = state !== "refused";
    count.textContent = Stream.running.length;
    const label = this.stream.isRunning ? "Stop" : "Start";
    this.button.textContent = label;
    this.button.setAttribute("aria-label", `${label} ${this.button.dataset.title}`);
  }

  add(name, data) {
    const line = document.createElement("p");
    line.append(part("time", `+${seconds(this.began)} s`), part("name", name), part("data", data));
    const atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 8;
    this.log.append(line);
    if (this.log.children.length > MAX_LINES) this.log.firstElementChild.remove();
    if (atEnd) this.log.scrollTop = this.log.scrollHeight;
  }
}

function part(name, text) {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = text;
  return span;
}

function seconds(since) {
  return ((performance.now() - since) / 1000).toFixed(1);
}

function makeRoom() {
  const running = Stream.running;
  for (const oldest of running.slice(0, Math.max(0, running.length - MAX_RUNNING + 1))) {
    oldest.stop("displaced");
  }
}

for (const element of document.querySelectorAll("[data-card]")) {
  const card = new Card(element);
  if ("starts" in element.dataset) card.start();
}
