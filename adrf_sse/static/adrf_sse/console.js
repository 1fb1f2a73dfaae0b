// The panel of EventStreamConsoleRenderer. What a stream sends is only ever set as text, never as HTML.
// A classic script: REST framework's forms replace the document, after which a module would not run again.
(() => {
  "use strict";

  const MAX_ROWS = 300; // kept in the page
  const MAX_TEXT = 20_000; // characters of one event's data that are shown
  const MAX_NAMES = 50; // event names that the filter suggests
  const MAX_ANSWER = 2_000; // characters of a refusal's body that are shown
  const SHORT = 72; // characters up to which JSON stays on one line
  const RETRY = 3_000; // milliseconds, until the stream says otherwise
  const MAX_RETRY = 60_000; // milliseconds, for a server that can't be reached
  const BUSY = 8; // milliseconds after which reading lets the page be drawn
  const MINUTE = 60;

  const number = new Intl.NumberFormat("en");

  // Parse an event stream as the WHATWG does (HTML, section 9.2.6).
  class Parser {
    constructor(lastEventId, listener) {
      this.lastEventId = lastEventId;
      this.listener = listener;
      this.rest = "";
      this.afterCR = false;
      this.reset();
    }

    reset() {
      this.name = "";
      this.data = [];
      this.ownId = null;
    }

    feed(text) {
      if (!text) return;
      let start = this.afterCR && text[0] === "\n" ? 1 : 0; // the LF of a CRLF that was torn apart
      const ends = /\r\n?|\n/g;
      ends.lastIndex = start;
      for (let end = ends.exec(text); end; end = ends.exec(text)) {
        this.line(this.rest + text.slice(start, end.index));
        this.rest = "";
        start = ends.lastIndex;
      }
      this.rest += text.slice(start);
      this.afterCR = text.endsWith("\r");
    }

    line(line) {
      if (line === "") return this.dispatch();
      const colon = line.indexOf(":");
      if (colon === -1) return this.field(line, "");
      const value = line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
      if (colon === 0) return this.listener.comment(value);
      this.field(line.slice(0, colon), value);
    }

    field(field, value) {
      if (field === "event") this.name = value;
      else if (field === "data") this.data.push(value);
      else if (field === "id" && !value.includes("\0")) this.ownId = value;
      else if (field === "retry" && /^[0-9]+$/.test(value)) this.listener.retry(Number(value));
    }

    dispatch() {
      const { name, data, ownId } = this;
      this.reset();
      if (ownId !== null) this.listener.lastId((this.lastEventId = ownId));
      if (data.length) this.listener.event(name || "message", data.join("\n"), ownId);
    }
  }

  // Read a stream with fetch, which unlike EventSource tells what the server said, and can send a body.
  class Stream {
    constructor(request, lastEventId, listener) {
      this.request = request;
      this.lastEventId = lastEventId;
      this.listener = listener;
      this.delay = RETRY;
      this.aborter = new AbortController();
    }

    stop() {
      this.aborter.abort();
    }

    async run() {
      for (let failures = 0; ; ) {
        try {
          const response = await this.fetch();
          if (!isStream(response)) return this.listener.answered(this, response, await answerOf(response));
          failures = 0;
          this.listener.opened(this);
          await this.read(response.body);
        } catch (error) {
          if (this.aborter.signal.aborted) return;
          if (!(error instanceof TypeError)) throw error; // a TypeError is how fetch reports a lost connection
          failures += 1;
        }
        if (this.aborter.signal.aborted) return;
        // What was posted is not posted again unasked.
        if (this.request.method !== "GET") return this.listener.finished(this, failures > 0);
        const delay = Math.max(this.delay, failures && Math.min(this.delay * 2 ** (failures - 1), MAX_RETRY));
        this.listener.waiting(this, delay, failures > 0);
        await this.wait(delay);
        if (this.aborter.signal.aborted) return;
        this.listener.reconnecting(this);
      }
    }

    fetch() {
      const headers = { ...this.request.headers, Accept: "text/event-stream" };
      if (this.lastEventId) headers["Last-Event-ID"] = utf8(this.lastEventId);
      const { url, method, body } = this.request;
      const signal = this.aborter.signal;
      return fetch(url, { method, body, headers, signal, cache: "no-store", credentials: "same-origin" });
    }

    async read(body) {
      const parser = new Parser(this.lastEventId, {
        comment: (text) => this.listener.comment(text),
        event: (...event) => this.listener.event(...event),
        lastId: (id) => this.listener.lastId((this.lastEventId = id)),
        retry: (milliseconds) => this.listener.retry((this.delay = milliseconds)),
      });
      const decoder = new TextDecoder();
      const reader = body.getReader();
      let since = performance.now();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        if (this.aborter.signal.aborted) return;
        parser.feed(decoder.decode(part.value, { stream: true }));
        if (performance.now() - since < BUSY) continue;
        await breath();
        since = performance.now();
      }
    }

    wait(milliseconds) {
      return new Promise((resolve) => {
        const { signal } = this.aborter;
        const done = () => {
          clearTimeout(timer);
          signal.removeEventListener("abort", done);
          resolve();
        };
        const timer = setTimeout(done, Math.min(milliseconds, 2 ** 31 - 1)); // what a timer can hold
        signal.addEventListener("abort", done);
      });
    }
  }

  function isStream(response) {
    const type = response.headers.get("Content-Type") ?? "";
    return response.status === 200 && /^text\/event-stream\s*(;|$)/i.test(type);
  }

  // What the server said: its status, and its words if it gave any.
  async function answerOf(response) {
    const type = (response.headers.get("Content-Type") ?? "").split(";")[0].trim();
    const status = [`${response.status}`, response.statusText].join(" ").trim();
    const text = response.status === 204 ? "" : await response.text();
    if (/[/+]json$/i.test(type)) return { status, ...wordsOf(text) };
    if (type === "text/plain") return { status, detail: "", body: cut(text, MAX_ANSWER) };
    const size = `${number.format(text.length)} characters`;
    return { status, detail: text && `The answer is no event stream but ${type || "of no type"}, ${size}.`, body: "" };
  }

  function wordsOf(text) {
    try {
      const { detail, ...others } = JSON.parse(text);
      if (typeof detail === "string" && !Object.keys(others).length) return { detail, body: "" };
    } catch {
      // Not an object: shown as it is.
    }
    return { detail: "", body: cut(pretty(text), MAX_ANSWER) };
  }

  // Header values are bytes; EventSource sends an id as UTF-8.
  function utf8(text) {
    return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
  }

  // Let the browser draw and take input. A timer would be slowed down in a tab that is not seen.
  function breath() {
    return new Promise((resolve) => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => resolve(channel.port1.close());
      channel.port2.postMessage(null);
    });
  }

  function cut(text, length) {
    return text.length <= length
      ? text
      : `${text.slice(0, length)}… (${number.format(text.length - length)} characters more)`;
  }

  // Indent JSON as it was written: parsing it would round long numbers and merge keys. Other text stays as it is.
  function pretty(text) {
    if (!/^\s*[[{]/.test(text) || text.length > MAX_TEXT) return text;
    try {
      JSON.parse(text);
    } catch {
      return text;
    }
    const tokens = text.match(/"(?:[^"\\]+|\\.)*"|[^\s"{}[\],:]+|[{}[\],:]/g);
    const line = tokens.map((token) => (token === "," || token === ":" ? `${token} ` : token)).join("");
    return line.length <= SHORT ? line : indented(tokens);
  }

  function indented(tokens) {
    let depth = 0;
    let text = "";
    const newLine = () => (text += `\n${"  ".repeat(depth)}`);
    tokens.forEach((token, at) => {
      const opened = tokens[at - 1] === "{" || tokens[at - 1] === "[";
      if (token === "}" || token === "]") {
        depth -= 1;
        if (!opened) newLine();
      } else if (opened) newLine();
      text += token === ":" ? ": " : token;
      if (token === "{" || token === "[") depth += 1;
      if (token === ",") newLine();
    });
    return text;
  }

  // Count events by the second, for the last minute.
  class Rate {
    constructor() {
      this.counts = new Uint32Array(MINUTE + 1);
      this.second = Rate.now();
    }

    static now() {
      return Math.floor(performance.now() / 1000);
    }

    advance() {
      const now = Rate.now();
      if (now - this.second > MINUTE) this.counts.fill(0);
      else for (let second = this.second + 1; second <= now; second += 1) this.counts[second % (MINUTE + 1)] = 0;
      this.second = now;
    }

    add() {
      this.advance();
      this.counts[this.second % (MINUTE + 1)] += 1;
    }

    // The last sixty full seconds, oldest first.
    minute() {
      this.advance();
      return Array.from({ length: MINUTE }, (_, at) => this.counts[(this.second + 1 + at) % (MINUTE + 1)]);
    }
  }

  // The rows: the newest at the top, and never more than MAX_ROWS of them.
  class Rows {
    constructor(list, template) {
      this.list = list;
      this.template = template.content.firstElementChild;
      this.filter = "";
      this.clear();
    }

    clear() {
      this.kept = []; // the latest records, whatever the filter says
      this.waiting = []; // what came since the last drawing, and of it what the filter lets through
      this.fresh = [];
      this.missed = 0;
      this.replace([]);
    }

    add(record) {
      this.missed += 1;
      this.waiting = appended(this.waiting, record);
      if (this.lets(record)) this.fresh = appended(this.fresh, record);
    }

    lets(record) {
      return !this.filter || (record.name !== null && record.name.includes(this.filter));
    }

    filterBy(filter) {
      this.filter = filter;
      this.fresh = this.waiting.filter((record) => this.lets(record));
      this.replace(this.kept);
    }

    replace(records) {
      const shown = records.filter((record) => this.lets(record));
      this.list.replaceChildren(...shown.map((record) => this.row(record)).reverse());
    }

    draw() {
      const fresh = this.fresh.slice(-MAX_ROWS);
      this.kept = this.kept.concat(this.waiting).slice(-MAX_ROWS);
      this.waiting = [];
      this.fresh = [];
      this.missed = 0;
      if (!fresh.length) return;
      this.list.prepend(...fresh.map((record) => this.row(record)).reverse());
      while (this.list.childElementCount > MAX_ROWS) this.list.lastElementChild.remove();
    }

    row({ time, name, id, data }) {
      const row = this.template.cloneNode(true);
      const [when, what, which, text] = row.children;
      when.textContent = clock(time);
      what.textContent = name ?? "comment";
      row.dataset.kind = name === null ? "comment" : name === "error" ? "error" : "event";
      if (id === null) which.remove();
      else which.textContent = `id ${id}`;
      text.textContent = cut(pretty(data), MAX_TEXT);
      return row;
    }
  }

  // Append, and forget the oldest: a tab that is not seen, or a panel that is paused, is not drawn.
  function appended(records, record) {
    records.push(record);
    return records.length > 2 * MAX_ROWS ? records.slice(-MAX_ROWS) : records;
  }

  function clock(time) {
    const two = (value) => String(value).padStart(2, "0");
    const seconds = `${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, "0")}`;
    return `${two(time.getHours())}:${two(time.getMinutes())}:${seconds}`;
  }

  class Panel {
    constructor(root) {
      this.root = root;
      this.parts = {};
      for (const part of root.querySelectorAll("[data-sse]")) this.parts[part.dataset.sse] = part;
      this.rows = new Rows(this.parts.rows, this.parts.row);
      this.url = root.dataset.url;
      this.method = root.dataset.methods.split(" ").includes("GET") ? "GET" : "POST";
      this.stream = null; // the one that is read
      this.sent = null; // one that a form has asked for, while the answer isn't there
      this.paused = false;
      this.clear();
      this.listen();
    }

    listen() {
      const { toggle, pause, clear, filter, resume } = this.parts;
      toggle.addEventListener("click", () => (this.running ? this.stop() : this.connect()));
      pause.addEventListener("click", () => this.pause());
      clear.addEventListener("click", () => this.clear());
      filter.addEventListener("input", () => this.filter());
      for (const part of [toggle, pause, clear, filter, resume]) part.disabled = false;
      // REST framework's script listens at the form itself.
      document.addEventListener("submit", (event) => this.submitted(event), { capture: true });
      addEventListener("pagehide", () => this.running && this.stop());
      const timer = setInterval(() => (this.root.isConnected ? this.schedule() : this.leave(timer)), 1000);
    }

    // REST framework's script has put another document in the place of this one.
    leave(timer) {
      clearInterval(timer);
      if (this.running) this.stop();
    }

    get running() {
      return this.stream !== null;
    }

    // What the user asks for

    connect() {
      const form = this.method === "POST" && [...document.forms].find((form) => isVisible(form) && methodOf(form) === "POST");
      if (form) return form.requestSubmit();
      this.open({ url: this.url, method: this.method, headers: csrf(this.method) });
    }

    // Read a stream, in place of the present one as soon as it is there.
    open(request) {
      this.sent?.stop();
      this.hideAnswer();
      const stream = new Stream(request, this.parts.resume.value, this.listenerFor());
      if (this.running) {
        this.sent = stream;
      } else {
        this.adopt(stream);
        this.show("connecting", `Connecting with ${request.method}`);
      }
      stream.run().catch((error) => {
        this.finished(stream, true);
        throw error;
      });
    }

    adopt(stream) {
      this.stream?.stop();
      this.stream = stream;
      this.sent = null;
      this.clear();
      this.reconnects = 0;
      this.delay = null;
      this.lastEventId = stream.lastEventId;
      this.parts.method.textContent = stream.request.method;
    }

    stop() {
      this.sent?.stop();
      this.sent = null;
      this.stream.stop();
      this.end("stopped", "Stopped");
    }

    pause() {
      this.paused = !this.paused;
      this.parts.pause.textContent = this.paused ? "Resume" : "Pause";
      this.schedule();
    }

    clear() {
      this.rows.clear();
      this.rateOf = new Rate();
      this.total = 0;
      this.comments = 0;
      this.names = new Set();
      this.parts.names.replaceChildren();
      this.schedule();
    }

    filter() {
      if (!this.paused) this.rows.draw();
      this.rows.filterBy(this.parts.filter.value.trim());
      this.schedule();
    }

    submitted(event) {
      const form = event.target;
      const method = methodOf(form, event.submitter);
      if (!form.closest("#content") || !["POST", "PUT", "PATCH"].includes(method)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      const { body, type } = contentOf(form);
      const headers = { ...csrf(method), ...(type && { "Content-Type": type }) };
      this.open({ url: this.url, method, headers, body });
      this.root.scrollIntoView({ block: "start" });
    }

    // What the stream tells

    listenerFor() {
      return {
        opened: (stream) => this.opened(stream),
        answered: (stream, response, answer) => this.answered(stream, response, answer),
        finished: (stream, lost) => this.finished(stream, lost),
        waiting: (stream, delay, lost) => this.waiting(stream, delay, lost),
        reconnecting: () => (this.reconnects += 1),
        lastId: (id) => (this.lastEventId = id),
        retry: (milliseconds) => (this.delay = milliseconds),
        comment: (text) => this.comment(text),
        event: (name, data, id) => this.event(name, data, id),
      };
    }

    opened(stream) {
      if (stream !== this.stream) this.adopt(stream);
      this.hideAnswer();
      this.show("live", "Connected");
    }

    answered(stream, response, answer) {
      if (stream.aborter.signal.aborted) return;
      const ended = response.status === 204 && stream.request.method === "GET";
      if (!ended) this.showAnswer(answer, response.ok);
      if (stream !== this.stream) this.sent = null;
      else if (ended) this.end("ended", "Ended: the server says not to come back");
      else if (response.ok) this.end("ended", `Answered: ${answer.status}`);
      else this.end("refused", `Refused: ${answer.status}`);
    }

    finished(stream, lost) {
      if (stream !== this.stream) return this.show("lost", "The request could not be sent");
      if (lost) this.end("lost", "Connection lost");
      else this.end("ended", "Ended");
    }

    waiting(stream, delay, lost) {
      const why = lost ? "Connection lost" : "Stream ended";
      this.show("waiting", `${why}, reconnecting in ${number.format(delay / 1000)} s`);
    }

    comment(text) {
      this.comments += 1;
      if (text) this.rows.add({ time: new Date(), name: null, id: null, data: text });
      this.schedule();
    }

    event(name, data, id) {
      this.total += 1;
      this.rateOf.add();
      this.rows.add({ time: new Date(), name, id, data });
      if (this.names.size < MAX_NAMES && !this.names.has(name)) this.suggest(name);
      this.schedule();
    }

    suggest(name) {
      this.names.add(name);
      const option = document.createElement("option");
      option.value = name;
      this.parts.names.append(option);
    }

    // What is shown

    show(state, text) {
      this.parts.state.dataset.state = state;
      this.parts.state.textContent = text;
      this.parts.toggle.textContent = this.running ? "Stop" : "Connect";
      this.schedule();
    }

    end(state, text) {
      this.stream = null;
      this.show(state, text);
    }

    showAnswer({ status, detail, body }, ok) {
      const { answer } = this.parts;
      this.parts["answer-status"].textContent = status;
      this.parts["answer-detail"].textContent = detail;
      this.parts["answer-body"].textContent = body;
      this.parts["answer-body"].hidden = !body;
      answer.dataset.ok = ok;
      answer.hidden = false;
    }

    hideAnswer() {
      this.parts.answer.hidden = true;
    }

    // Draw once before the browser paints, however many events came.
    schedule() {
      this.frame ??= requestAnimationFrame(() => {
        this.frame = null;
        this.draw();
      });
    }

    draw() {
      if (!this.paused) this.rows.draw();
      this.set("total", number.format(this.total));
      this.set("comments", number.format(this.comments));
      this.set("reconnects", number.format(this.reconnects ?? 0));
      this.set("retry", this.delay == null ? "–" : `${number.format(this.delay)} ms`);
      this.set("last-id", this.lastEventId || "–");
      this.set("missed", this.paused ? `Paused, ${number.format(this.rows.missed)} new.` : "");
      this.set("kept", this.kept());
      this.drawRate();
    }

    kept() {
      const { childElementCount: count } = this.parts.rows;
      if (this.rows.filter) return `${count} shown that match.`;
      if (!count) return "No events yet.";
      return count < MAX_ROWS ? `${count} shown.` : `The last ${MAX_ROWS} shown.`;
    }

    drawRate() {
      const minute = this.rateOf.minute();
      const peak = Math.max(...minute);
      this.set("rate", number.format(minute[MINUTE - 1]));
      this.set("peak", `peak ${number.format(peak)} a second`);
      const height = (count) => 20 - (count / (peak || 1)) * 19;
      const steps = minute.map((count, second) => `L${second},${height(count)}L${second + 1},${height(count)}`);
      const { graph } = this.parts;
      const path = `M0,20${steps.join("")}L60,20Z`;
      if (graph.firstElementChild.getAttribute("d") === path) return;
      graph.firstElementChild.setAttribute("d", path);
      const words = `${number.format(minute[MINUTE - 1])} events in the last second, at most ${number.format(peak)} a second`;
      graph.setAttribute("aria-label", `Rate over the last minute: ${words}`);
    }

    set(part, text) {
      if (this.parts[part].textContent !== text) this.parts[part].textContent = text;
    }
  }

  // REST framework's forms

  function methodOf(form, submitter) {
    return (submitter?.dataset.method || form.dataset.method || form.getAttribute("method") || "GET").toUpperCase();
  }

  function isVisible(form) {
    return form.closest("#content") !== null && form.offsetParent !== null;
  }

  function contentOf(form) {
    const type = form.querySelector("[data-override='content-type']")?.value;
    if (!type) return { body: new FormData(form) }; // fetch names the type, with its boundary
    const content = form.querySelector("[data-override='content']").value;
    if (type !== "multipart/form-data") return { body: content, type };
    const body = content.replace(/\r?\n/g, "\r\n");
    const boundary = body.match(/^--(\S{1,70})\r$/m);
    return { body, type: boundary ? `${type}; boundary="${boundary[1]}"` : type };
  }

  function csrf(method) {
    const script = document.getElementById("drf_csrf");
    if (method === "GET" || !script) return {};
    const { csrfHeaderName, csrfToken } = JSON.parse(script.textContent);
    return { [csrfHeaderName]: csrfToken };
  }

  for (const root of document.querySelectorAll("[data-sse-console]")) new Panel(root);
})();
