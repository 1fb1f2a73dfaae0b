import { Stream, showState } from "./stream.js";

const stage = document.querySelector("[data-stream]");
const state = stage.querySelector("[data-state]");
const dial = stage.querySelector("[data-dial]");
const number = stage.querySelector("[data-number]");
const again = stage.querySelector("[data-again]");

const stream = new Stream({
  url: stage.dataset.url,
  events: ["tick", "blastoff"],
  onEvent(name, data) {
    number.textContent = data;
    dial.dataset.event = name;
  },
  onState(name) {
    showState(state, name);
    again.hidden = stream.isRunning;
  },
});

again.addEventListener("click", () => stream.start());
stream.start();
