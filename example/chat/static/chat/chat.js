import { LiveState, send } from "../streams/live.js";
import { showState } from "../streams/stream.js";

const MAX_LINES = 500;

const stage = document.querySelector("[data-stream]");
const state = stage.querySelector("[data-state]");
const list = stage.querySelector("[data-messages]");
const form = stage.querySelector("[data-compose]");
const error = stage.querySelector("[data-error]");

// Keep the messages in the order of their IDs. A message of this window arrives twice: in the response and as an event.
function add(message) {
  let next = null;
  for (let line = list.lastElementChild; line !== null; line = line.previousElementSibling) {
    if (Number(line.dataset.id) === message.id) return;
    if (Number(line.dataset.id) < message.id) break;
    next = line;
  }
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 8;
  list.insertBefore(lineOf(message), next);
  if (list.children.length > MAX_LINES) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function lineOf(message) {
  const line = document.createElement("p");
  line.dataset.id = message.id;
  const sent = new Date(message.sent);
  const time = part("time", "time", sent.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = message.sent;
  line.append(part("strong", "author", message.author), time, part("span", "text", message.text));
  return line;
}

function part(tag, name, text) {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}

const room = new LiveState({
  url: list.dataset.url,
  stream: stage.dataset.url,
  events: ["message"],
  onState(messages) {
    list.ariaBusy = "true"; // screen readers read only what is new
    list.replaceChildren();
    for (const message of messages.toReversed()) add(message);
    list.ariaBusy = "false";
  },
  onChange: (name, message) => add(message),
  onConnection: (name) => showState(state, name),
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  error.hidden = true;
  try {
    add(await send("POST", form.action, { author: form.author.value, text: form.text.value }));
    form.text.value = "";
  } catch (exc) {
    error.textContent = exc.message;
    error.hidden = false;
  }
  button.disabled = false;
  form.text.focus();
});
form.querySelector("button").disabled = false; // an earlier click would submit the form without this script
room.start();
