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
    setBusy(stream.isRunning);
  },
});

// A button that is disabled would lose the focus.
function setBusy(busy) {
  button.ariaDisabled = String(busy);
}

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
  if (button.ariaDisabled === "true") return;
  setBusy(true);
  show(0);
  if (unknown) unknown.hidden = true;
  try {
    const job = await startJob(form.action, form);
    history.replaceState(null, "", `?${new URLSearchParams({ job: job.id })}`); // a reload shows this job again
    watch(job.events);
  } catch {
    showState(state, "refused");
    setBusy(false);
  }
});
button.disabled = false; // an earlier click would submit the form without this script
if (form.dataset.events) watch(form.dataset.events);
