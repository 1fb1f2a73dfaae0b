// The panel of EventStreamConsoleRenderer. It inserts everything that a stream sends as text, never as HTML.
// This is a classic script because REST framework's forms replace the document, and a module would not run again.
(() => {
  "use strict";

  const MAX_ROWS = 300; // rows in the page
  const MAX_TEXT = 20_000; // characters to show of one event's data
  const MAX_NAMES = 50; // event names that the filter suggests
  const MAX_BODY = 2_000; // characters to show of a response that is not a stream
  const SHORT = 72; // maximum length of JSON on one line, in characters
  const MINUTE = 60; // seconds

  const number = new Intl.NumberFormat("en");

  // The template knows the URL of sse.js, because a static files storage can change its name.
  const { module } = document.currentScript.dataset;

  // Reads a stream with sse.js, which is a module and can therefore not be loaded earlier.
  class Stream {
    constructor(request, lastEventId, listener) {
      this.request = request;
      this.firstId = lastEventId;
      this.listener = listener;
      this.aborter = new AbortController();
      this.source = null;
    }

    get lastEventId() {
      return this.source?.lastEventId ?? this.firstId;
    }

    stop() {
      this.aborter.abort();
    }

    async run() {
      const sse = await import(module).catch(() => null);
      if (!sse) return this.listener.notLoaded(this);
      const { open, RefusedError, LostError } = sse;
      try {
        await this.read(open);
      } catch (error) {
        if (this.aborter.signal.aborted) return;
        if (error instanceof RefusedError) return this.listener.refused(this, error);
        if (!(error instanceof LostError)) throw error;
        return this.listener.finished(this, true);
      }
      this.listener.finished(this, false);
    }

    async read(open) {
      const { url, ...request } = this.request;
      const { comment, retry } = this.listener;
      const { signal } = this.aborter;
      const options = { lastEventId: this.firstId, heartbeatTimeout: null, onComment: comment, onRetry: retry };
      const stream = (this.source = open(url, { ...request, ...options, signal }));
      // The server's events can have these names too. They have data.
      stream.onopen = (event) => "data" in event || this.listener.opened(this);
      stream.onerror = (event) => "data" in event || event.delay === null || this.listener.waiting(event);
      for await (const event of stream) this.listener.event(event);
    }
  }

  // Returns the status of a response that is not a stream, and its detail or its body.
  function summaryOf({ status, statusText, contentType, text }) {
    const type = contentType.split(";")[0].trim();
    const line = `${status} ${statusText}`.trim();
    if (/[/+]json$/i.test(type)) return { status: line, ...detailOf(text) };
    if (type === "text/plain") return { status: line, detail: "", body: cut(text, MAX_BODY) };
    const size = `${number.format(text.length)} characters`;
    const detail = text && `The response is not an event stream. Its type is ${type || "unknown"}, its size ${size}.`;
    return { status: line, detail, body: "" };
  }

  function detailOf(text) {
    try {
      const { detail, ...others } = JSON.parse(text);
      if (typeof detail === "string" && !Object.keys(others).length) return { detail, body: "" };
    } catch {
      // The body has no detail, so it is shown as a whole.
    }
    return { detail: "", body: cut(pretty(text), MAX_BODY) };
  }

  function cut(text, length) {
    return text.length <= length
      ? text
      : `${text.slice(0, length)}… (${number.format(text.length - length)} more characters)`;
  }

  // Indents JSON as it was sent: parsing it would round long numbers and merge repeated keys. Other text is unchanged.
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

  // Counts the events of each second in the last minute.
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

    // Returns the counts of the last sixty full seconds, oldest first.
    minute() {
      this.advance();
      return Array.from({ length: MINUTE }, (_, at) => this.counts[(this.second + 1 + at) % (MINUTE + 1)]);
    }
  }

  // Shows at most MAX_ROWS rows, newest first.
  class Rows {
    constructor(list, template) {
      this.list = list;
      this.template = template.content.firstElementChild;
      this.filter = "";
      this.clear();
    }

    clear() {
      this.drawn = []; // the latest records, including those that don't match the filter
      this.undrawn = []; // the latest records since the last drawing
      this.undrawnMatches = []; // those of them that match the filter
      this.undrawnCount = 0;
      this.replace([]);
    }

    add(record) {
      this.undrawnCount += 1;
      this.undrawn = append(this.undrawn, record);
      if (this.matches(record)) this.undrawnMatches = append(this.undrawnMatches, record);
    }

    matches(record) {
      return !this.filter || (record.name !== null && record.name.includes(this.filter));
    }

    filterBy(filter) {
      this.filter = filter;
      this.undrawnMatches = this.undrawn.filter((record) => this.matches(record));
      this.replace(this.drawn);
    }

    replace(records) {
      const shown = records.filter((record) => this.matches(record));
      this.list.replaceChildren(...shown.map((record) => this.row(record)).reverse());
    }

    draw() {
      const matches = this.undrawnMatches.slice(-MAX_ROWS);
      this.drawn = this.drawn.concat(this.undrawn).slice(-MAX_ROWS);
      this.undrawn = [];
      this.undrawnMatches = [];
      this.undrawnCount = 0;
      if (!matches.length) return;
      this.list.prepend(...matches.map((record) => this.row(record)).reverse());
      while (this.list.childElementCount > MAX_ROWS) this.list.lastElementChild.remove();
    }

    row({ time, name, id, data }) {
      const row = this.template.cloneNode(true);
      const [timeCell, nameCell, idCell, dataCell] = row.children;
      timeCell.textContent = clock(time);
      nameCell.textContent = name ?? "comment";
      row.dataset.kind = name === null ? "comment" : name === "error" ? "error" : "event";
      if (id === null) idCell.remove();
      else idCell.textContent = `id ${id}`;
      dataCell.textContent = cut(pretty(data), MAX_TEXT);
      return row;
    }
  }

  // Appends a record. Drops the oldest ones, because nothing is drawn while the tab is hidden or the panel is paused.
  function append(records, record) {
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
      this.stream = null; // the open stream
      this.pending = null; // the stream of a request that has no response yet, while another stream is open
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
      // REST framework's script listens on the form, so this listener must run in the capture phase.
      document.addEventListener("submit", (event) => this.submitted(event), { capture: true });
      addEventListener("pagehide", () => this.running && this.stop());
      const timer = setInterval(() => (this.root.isConnected ? this.schedule() : this.detach(timer)), 1000);
    }

    // Stops the panel after REST framework's script has replaced the document.
    detach(timer) {
      clearInterval(timer);
      if (this.running) this.stop();
    }

    get running() {
      return this.stream !== null;
    }

    // Actions of the user

    connect() {
      const form = this.method === "POST" && [...document.forms].find((form) => isVisible(form) && methodOf(form) === "POST");
      if (form) return form.requestSubmit();
      this.open({ url: this.url, method: this.method, headers: csrf(this.method) });
    }

    // Opens a stream. An open stream is replaced when the new one has been opened.
    open(request) {
      this.pending?.stop();
      this.hideResponse();
      const stream = new Stream(request, this.parts.resume.value, this.streamListener());
      if (this.running) {
        this.pending = stream;
      } else {
        this.replaceStream(stream);
        this.show("connecting", `Connecting with ${request.method}`);
      }
      stream.run().catch((error) => {
        this.finished(stream, true);
        throw error;
      });
    }

    replaceStream(stream) {
      this.stream?.stop();
      this.stream = stream;
      this.pending = null;
      this.clear();
      this.reconnects = 0;
      this.waits = 0; // reconnections, and the one that the stream is waiting for
      this.delay = null;
      this.shown = stream; // also after its end
      this.parts.method.textContent = stream.request.method;
    }

    stop() {
      this.pending?.stop();
      this.pending = null;
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

    // Events of the stream

    streamListener() {
      return {
        opened: (stream) => this.opened(stream),
        refused: (stream, error) => this.refused(stream, error),
        finished: (stream, lost) => this.finished(stream, lost),
        notLoaded: () => this.end("lost", "The script sse.js could not be loaded"),
        waiting: (event) => this.waiting(event),
        retry: (milliseconds) => (this.delay = milliseconds),
        comment: (text) => this.comment(text),
        event: (event) => this.event(event),
      };
    }

    opened(stream) {
      if (stream !== this.stream) this.replaceStream(stream);
      this.reconnects = this.waits;
      this.hideResponse();
      this.show("live", "Connected");
    }

    refused(stream, error) {
      const summary = summaryOf(error);
      const success = error.status < 300;
      this.showResponse(summary, success);
      if (stream !== this.stream) this.pending = null;
      else if (success) this.end("ended", `Not a stream: ${summary.status}`);
      else this.end("refused", `Refused: ${summary.status}`);
    }

    finished(stream, lost) {
      if (stream !== this.stream) return this.show("lost", "The request failed");
      if (lost) this.end("lost", "Connection lost");
      else this.end("ended", stream.request.method === "GET" ? "Ended: the server sends no more events" : "Ended");
    }

    waiting({ error, delay }) {
      this.reconnects = this.waits;
      this.waits += 1;
      const reason = error ? "Connection lost" : "Stream ended";
      this.show("waiting", `${reason}, reconnecting in ${number.format(delay / 1000)} s`);
    }

    comment(text) {
      this.comments += 1;
      if (text) this.rows.add({ time: new Date(), name: null, id: null, data: text });
      this.schedule();
    }

    event({ type: name, data, id }) {
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

    // The display

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

    showResponse({ status, detail, body }, ok) {
      const { answer } = this.parts;
      this.parts["answer-status"].textContent = status;
      this.parts["answer-detail"].textContent = detail;
      this.parts["answer-body"].textContent = body;
      this.parts["answer-body"].hidden = !body;
      answer.dataset.ok = ok;
      answer.hidden = false;
    }

    hideResponse() {
      this.parts.answer.hidden = true;
    }

    // Draws once before the browser paints, however many events have arrived.
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
      this.set("last-id", this.shown?.lastEventId || "–");
      this.set("missed", this.paused ? `Paused, ${number.format(this.rows.undrawnCount)} new.` : "");
      this.set("kept", this.rowCount());
      this.drawRate();
    }

    rowCount() {
      const { childElementCount: count } = this.parts.rows;
      if (this.rows.filter) return `${count} shown (filtered).`;
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
      const label = `${number.format(minute[MINUTE - 1])} events in the last second, at most ${number.format(peak)} a second`;
      graph.setAttribute("aria-label", `Rate over the last minute: ${label}`);
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
    if (!type) return { body: new FormData(form) }; // fetch sets the content type with the boundary
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
