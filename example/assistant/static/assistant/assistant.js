// Ask the assistant, and follow its answer. The answer is a run, whose ID is in the page's address: "?run=…".

import { open } from "../adrf_sse/sse.js";
import { send } from "../streams/live.js";
import { showState } from "../streams/stream.js";

const PENDING = "assistant.pending"; // the question whose response has not arrived, kept for a reload

const UNKNOWN = "The server has no such answer for you. It keeps answers for an hour, and without PostgreSQL or Redis until it restarts.";
const FAILED = "The assistant has failed. Ask again.";
const LOST = "The answer was lost, because the server that wrote it has stopped. Ask again.";

const stage = document.querySelector("[data-stream]");
const state = stage.querySelector("[data-state]");
const exchange = stage.querySelector("[data-exchange]");
const question = stage.querySelector("[data-question]");
const answer = stage.querySelector("[data-answer]");
const error = stage.querySelector("[data-error]");
const form = stage.querySelector("[data-compose]");
const ask = form.querySelector("[type=submit]");
const stop = form.querySelector("[data-stop]");

let source = null; // the open stream of the run
let lastEventId = ""; // of what the page shows
let isAsking = false; // a question is being sent
let isSuspended = false; // the browser keeps the page for its back button

// Show the run of the address, from its first event.
function showRun() {
  leave();
  question.textContent = answer.textContent = lastEventId = "";
  hideProblem();
  if (runId()) follow();
  else showState(state, "idle");
}

function runId() {
  return new URLSearchParams(location.search).get("run");
}

function runUrl() {
  return `${stage.dataset.url}${encodeURIComponent(runId())}/`;
}

async function follow() {
  const stream = (source = open(runUrl(), { lastEventId }));
  stream.addEventListener("open", () => showState(state, "live"));
  stream.addEventListener("error", (event) => event.delay && showState(state, "reconnecting"));
  showState(state, "connecting");
  showRunning(true);
  try {
    for await (const event of stream) {
      lastEventId = stream.lastEventId;
      take(event);
    }
  } catch (exc) {
    showState(state, "refused");
    showProblem(exc.status === 404 ? UNKNOWN : (exc.body?.detail ?? exc.message));
  }
  if (stream === source) leave();
}

// Close the stream. The run goes on.
function leave() {
  source?.close();
  source = null;
  showRunning(false);
}

function take(event) {
  if (event.type === "question") question.textContent = event.json().text;
  else if (event.type === "word") add(event.json().text);
  else if (event.type === "end") end(event.json().status);
}

function add(word) {
  const atEnd = exchange.scrollHeight - exchange.scrollTop - exchange.clientHeight < 8;
  answer.append(answer.hasChildNodes() ? ` ${word}` : word);
  if (atEnd) exchange.scrollTop = exchange.scrollHeight;
}

function end(status) {
  showState(state, status);
  if (status === "failed") showProblem(FAILED);
  if (status === "lost") showProblem(LOST);
  leave();
}

// Buttons that are disabled or hidden would lose the focus.
function showRunning(running) {
  answer.ariaBusy = String(running); // screen readers read the answer when it is complete
  ask.ariaDisabled = String(running || isAsking);
  if (!running && document.activeElement === stop) form.prompt.focus();
  stop.hidden = !running;
}

function showProblem(text) {
  error.textContent = text;
  error.hidden = false;
}

function hideProblem() {
  error.hidden = true;
}

// Ask a question. If it is asked again with the same key, the server responds with the same run.
async function start({ prompt, key }) {
  sessionStorage.setItem(PENDING, JSON.stringify({ prompt, key }));
  isAsking = true;
  showRunning(false);
  hideProblem();
  let run;
  try {
    run = await send("POST", form.action, { prompt }, { "Idempotency-Key": key });
  } catch (exc) {
    if (exc.status < 500) sessionStorage.removeItem(PENDING); // otherwise, the run may have started
    return showProblem(exc.message);
  } finally {
    isAsking = false;
    showRunning(false);
  }
  sessionStorage.removeItem(PENDING);
  form.prompt.value = "";
  history.pushState(null, "", `?${new URLSearchParams({ run: run.id })}`);
  showRun();
}

function pending() {
  return JSON.parse(sessionStorage.getItem(PENDING));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (source || isAsking) return;
  const prompt = form.prompt.value;
  start(pending()?.prompt === prompt ? pending() : { prompt, key: crypto.randomUUID() });
});

stop.addEventListener("click", async () => {
  hideProblem();
  try {
    await send("DELETE", runUrl()); // the end arrives as an event, in this window as in all others
  } catch (exc) {
    showProblem(exc.message);
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.isComposing && source) stop.click();
});

window.addEventListener("popstate", showRun);

// The browser may keep the page for its back button, but the page must close its connection.
window.addEventListener("pagehide", () => {
  isSuspended = source !== null;
  leave();
});

window.addEventListener("pageshow", () => {
  if (isSuspended) follow();
  isSuspended = false;
});

ask.disabled = false; // an earlier click would submit the form without this script
showRun();
if (pending()) {
  form.prompt.value = pending().prompt;
  start(pending());
}
