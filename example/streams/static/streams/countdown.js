import { Stream, showState } from "./stream.js";

const stage = document.querySelector("[data-stream]");
const state = stage.querySelector("[data-state]");
const dial = stage.querySelector("[data-dial]");
const again = stage.querySelector("[data-again]");

const stream = new Stream({
  url: stage.dataset.url,
  events: ["tick", "blastoff"],
  onEvent(name, data) {
    dial.textContent = data;
    dial.dataset.event = name;
  },
  onState(name) {
    showState(state, name);
    again.ariaDisabled = String(stream.isRunning); // a button that is disabled or hidden loses the focus
  },
});

again.addEventListener("click", () => stream.isRunning || stream.start());
again.disabled = false;
stream.start();
