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
    if (name === "ended" || name === "refused") showLogout();
  },
});

// The server ends this stream only if its user may no longer read it.
function showLogout() {
  stage.querySelector("[data-ended]").hidden = false;
  for (const place of Object.values(places)) place.hidden = true;
}

stream.start();
