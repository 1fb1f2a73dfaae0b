import { Stream, showState, startJob } from "./stream.js";

const stage = document.querySelector("[data-stream]");
const state = stage.querySelector("[data-state]");
const form = stage.querySelector("[data-job]");
const button = form.querySelector("button");
const bar = form.querySelector("progress");
const percent = form.querySelector("[data-percent]");
const unknown = form.querySelector("[data-unknown]");

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

function watch(url) {
  stream.url = url;
  stream.start();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  show(0);
  if (unknown) unknown.hidden = true;
  try {
    const job = await startJob(form.action, form);
    history.replaceState(null, "", `?${new URLSearchParams({ job: job.id })}`); // a reload shows this job again
    watch(job.events);
  } catch {
    showState(state, "refused");
    button.disabled = false;
  }
});
button.disabled = false; // an earlier click would submit the form without this script
if (form.dataset.events) watch(form.dataset.events);
