import { Stream, showState } from "./stream.js";

const stage = document.querySelector("[data-stream]");
const state = stage.querySelector("[data-state]");
const places = { greeting: stage.querySelector("[data-greeting]"), time: stage.querySelector("[data-time]") };

const stream = new Stream({
  url: stage.dataset.url,
  events: Object.keys(places),
  onEvent(name, data) {
    places[name].textContent = data;
  },
  onState(name) {
    showState(state, name);
  },
});

stream.start();
