import { send } from "../streams/live.js";
import { Stream, showState } from "../streams/stream.js";

const NEXT = { new: "paid", paid: "shipped" };

const stage = document.querySelector("[data-stream]");
const state = stage.querySelector("[data-state]");
const body = stage.querySelector("[data-orders]");
const form = stage.querySelector("[data-compose]");
const change = stage.querySelector("[data-change]");
const error = stage.querySelector("[data-error]");

// The stream begins with a snapshot, also when it reconnects. Keep the rows that the page shows already.
function showAll(orders) {
  const ids = new Set(orders.map((order) => String(order.id)));
  for (const row of [...body.rows]) if (!ids.has(row.dataset.id)) remove(row);
  for (const order of orders) show(order);
}

// Screen readers read the text of the last change.
function showChange(order) {
  show(order);
  change.textContent = `${order.item}: ${order.status}`;
}

function showRemoval(row) {
  change.textContent = `${row.cells[1].textContent}: removed`;
  remove(row);
}

function show(order) {
  const row = rowOf(order);
  const old = find(order.id);
  if (old?.isEqualNode(row)) return;
  if (old) replace(old, row);
  else body.insertBefore(row, [...body.rows].find((other) => Number(other.dataset.id) < order.id) ?? null);
}

// Keep the keyboard's focus in the row, because a browser moves it to the start of the page otherwise.
function replace(old, row) {
  const focused = old.contains(document.activeElement);
  old.replaceWith(row);
  if (focused) row.querySelector("button").focus();
}

function remove(row) {
  const focused = row.contains(document.activeElement);
  const neighbor = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  if (focused) (neighbor?.querySelector("button") ?? form.item).focus();
}

function find(id) {
  return body.querySelector(`tr[data-id="${Number(id)}"]`);
}

function rowOf(order) {
  const row = document.createElement("tr");
  row.dataset.id = order.id;
  row.dataset.status = order.status;
  for (const text of [order.id, order.item, order.quantity, order.status]) row.insertCell().textContent = text;
  const actions = row.insertCell();
  const url = `${body.dataset.url}${Number(order.id)}/`;
  const next = NEXT[order.status];
  if (next) actions.append(button(`Mark ${next}`, order, () => send("PATCH", url, { status: next })));
  actions.append(button("Remove", order, () => send("DELETE", url)));
  return row;
}

function button(label, order, action) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = "quiet";
  element.textContent = label;
  element.setAttribute("aria-label", `${label}: ${order.item}`);
  element.addEventListener("click", () => attempt(element, action));
  return element;
}

// The change arrives as an event, in this window as in all others.
async function attempt(element, action) {
  if (element.ariaDisabled === "true") return;
  element.ariaDisabled = "true"; // a button that is disabled loses the focus
  error.hidden = true;
  try {
    await action();
  } catch (exc) {
    error.textContent = exc.message;
    error.hidden = false;
  }
  element.ariaDisabled = "false";
}

const orders = new Stream({
  url: stage.dataset.url,
  events: ["snapshot", "created", "updated", "deleted"],
  shared: true,
  lastEventId: "0", // each tab needs a snapshot of its own
  onEvent(name, data) {
    const value = JSON.parse(data);
    if (name === "snapshot") showAll(value);
    else if (name !== "deleted") showChange(value);
    else if (find(value.pk)) showRemoval(find(value.pk));
  },
  onState: (name) => showState(state, name),
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(form.querySelector("button"), async () => {
    await send("POST", form.action, { item: form.item.value, quantity: form.quantity.value });
    form.item.value = "";
    form.item.focus();
  });
});
form.querySelector("button").disabled = false; // an earlier click would submit the form without this script
orders.start();
