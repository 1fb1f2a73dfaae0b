import { Stream, showState, startJob } from "./stream.js";

const stage = document.querySelector("[data-stream]");
const state = stage.querySelector("[data-state]");
const form = stage.querySelector("[data-job]");
const button = form.querySelector("button");
const bar = form.querySelector("progress");
const percent = form.querySelector("[data-percent]");

const stream = new Stream({
  url: "",
  events: ["progress", "done"],
  onEvent(name, data) {
    show(JSON.parse(data).percent);
    if (name === "done") percent.textContent = "Done";
  },
  onState(name) {
    showState(state, name);
    button.disabled = stream.isRunning;
  },
});

function show(value) {
  bar.value = value;
  percent.textContent = `${value} %`;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  show(0);
  try {
    stream.url = await startJob(form.action, form);
    stream.start();
  } catch {
    showState(state, "refused");
    button.disabled = false;
  }
});
button.disabled = false; // an earlier click would submit the form without this script
