import { Stream, showState } from "./stream.js";

const MAX_LINES = 6;

const stage = document.querySelector("[data-stream]");
const state = stage.querySelector("[data-state]");
const toggle = stage.querySelector("[data-toggle]");

const stream = new Stream({
  url: stage.dataset.url,
  events: ["news", "weather"],
  onEvent(name, data) {
    const feed = stage.querySelector(`[data-feed=${name}]`);
    const line = document.createElement("li");
    line.textContent = data;
    feed.prepend(line);
    if (feed.children.length > MAX_LINES) feed.lastElementChild.remove();
  },
  onState(name) {
    showState(state, name);
    toggle.textContent = stream.isRunning ? "Stop" : "Start";
  },
});

toggle.addEventListener("click", () => {
  if (stream.isRunning) stream.stop();
  else stream.start();
});
toggle.disabled = false;
stream.start();
