// Reads event streams (WHATWG HTML, section 9.2) with fetch: requests can have a method, headers and a body, refusals
// carry the server's response, and the tabs of a site can share one connection.
// Documentation: https://adrf-sse.readthedocs.io/en/stable/browser/
// This is one file without imports, so that it works under any name that a static files storage gives it.

/** The ID in the last frame of a finite stream. A stream that has sent it is not requested again. */
export const END_ID = "adrf-sse-end";

const RETRY = 3_000;
const MAX_RETRY = 60_000;
const HEARTBEAT_TIMEOUT = 45_000;
const MAX_TIMER = 2 ** 31 - 1; // the longest delay of a timer
const MAX_BODY = 2 ** 20; // characters to keep of a response that is not a stream
const TEMPORARY = [429, 502, 503, 504]; // statuses after which a request is repeated
const BUSY = 8; // milliseconds after which reading pauses so that the browser can draw
const LIFECYCLE = ["open", "error", "close"];

/**
 * @typedef {object} Frame An event as the parser returns it.
 * @property {string} type The event's name, `message` if it has none.
 * @property {string} data
 * @property {string | null} id The ID in this event's own frame.
 * @property {string} lastEventId The last ID that the stream has set so far.
 *
 * @typedef {Omit<Frame, "data"> & {data: string | null}} AnyFrame A frame that only sets an ID has no data.
 * @typedef {{comment: string}} Comment
 *
 * @typedef {Record<string, string> | Headers | [string, string][]} HeaderValues
 *
 * @typedef {object} StreamOptions
 * @property {string} [method] `GET`, or `POST` if there is a body.
 * @property {any} [body] Whatever `fetch` accepts. Plain objects and arrays are sent as JSON.
 * @property {HeaderValues | (() => HeaderValues | Promise<HeaderValues>)} [headers] A function is called before each
 *   request, for tokens that expire.
 * @property {RequestCredentials} [credentials] `same-origin` by default.
 * @property {string} [lastEventId] Where to resume.
 * @property {AbortSignal} [signal] Closes the stream.
 * @property {boolean | string} [shared] Share one connection with the other tabs of this origin that read the same URL
 *   with the same headers, or, if it is a string, with the same URL and this name.
 * @property {number} [retry] Milliseconds until a reconnection. The stream can change it. 3,000 by default.
 * @property {number} [maxRetry] The longest delay in milliseconds while connections fail. 60,000 by default.
 * @property {number | null} [heartbeatTimeout] Milliseconds without a single byte after which a connection is lost.
 *   45,000 by default; `null` waits forever.
 * @property {boolean} [resend] Repeat a request that is not a GET if its connection is lost.
 * @property {(text: string) => void} [onComment] Called with each comment; heartbeats are comments. Not called for
 *   shared streams.
 * @property {(milliseconds: number) => void} [onRetry] Called with each reconnection delay that the stream sets. Not
 *   called for shared streams.
 *
 * @typedef {object} Answer The server's response to a request that it refused.
 * @property {string} url
 * @property {number} status
 * @property {string} statusText
 * @property {string} contentType
 * @property {string} text
 * @property {number | null} retryAfter
 *
 * @typedef {object} Listener
 * @property {() => void} opened
 * @property {(error: StreamError | null, delay: number) => void} waiting
 * @property {(frame: AnyFrame) => void | Promise<void>} frame
 *
 * @typedef {StreamOptions & {url: string, method: string, lastEventId: string, retry: number, maxRetry: number,
 *   heartbeatTimeout: number | null, resend: boolean}} Settings
 */

/** Parses an event stream incrementally, exactly as the specification says. */
export class EventStreamParser {
  #decoder = new TextDecoder(); // removes a byte order mark
  #rest = "";
  #afterCR = false;
  #type = "";
  /** @type {string[]} */
  #data = [];
  /** @type {string | null} */
  #id = null;
  #onRetry;

  /** @param {{lastEventId?: string, onRetry?: (milliseconds: number) => void}} [options] */
  constructor({ lastEventId = "", onRetry } = {}) {
    this.lastEventId = lastEventId;
    /** Whether the stream has sent the ID of its end. Everything after it is ignored. */
    this.ended = false;
    this.#onRetry = onRetry;
  }

  /**
   * Returns the events that this chunk completes.
   * @param {Uint8Array} chunk
   * @returns {Frame[]}
   */
  feed(chunk) {
    return this.feedAll(chunk).filter(/** @returns {part is Frame} */ (part) => "data" in part && part.data !== null);
  }

  /**
   * Returns the events that this chunk completes, the frames that only set an ID, and the comments.
   * @param {Uint8Array} chunk
   */
  feedAll(chunk) {
    /** @type {(AnyFrame | Comment)[]} */
    const parts = [];
    for (const line of this.#lines(this.#decoder.decode(chunk, { stream: true }))) {
      if (this.ended) break;
      const part = line === "" ? this.#dispatch() : this.#line(line);
      if (part) parts.push(part);
    }
    return parts;
  }

  /** @param {string} text */
  #lines(text) {
    const lines = [];
    let start = this.#afterCR && text[0] === "\n" ? 1 : 0; // the LF of a CRLF that was split between two chunks
    const ends = /\r\n?|\n/g;
    ends.lastIndex = start;
    for (let end = ends.exec(text); end; end = ends.exec(text)) {
      lines.push(this.#rest + text.slice(start, end.index));
      this.#rest = "";
      start = ends.lastIndex;
    }
    this.#rest += text.slice(start);
    if (text) this.#afterCR = text.endsWith("\r");
    return lines;
  }

  /** @param {string} line @returns {Comment | undefined} */
  #line(line) {
    const colon = line.indexOf(":");
    if (colon === -1) return void this.#field(line, "");
    const value = line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (colon === 0) return { comment: value };
    this.#field(line.slice(0, colon), value);
  }

  /** @param {string} name @param {string} value */
  #field(name, value) {
    if (name === "event") this.#type = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) this.#onRetry?.(Number(value));
  }

  /** @returns {AnyFrame | undefined} */
  #dispatch() {
    const [type, data, id] = [this.#type || "message", this.#data, this.#id];
    [this.#type, this.#data, this.#id] = ["", [], null];
    if (id !== null) this.lastEventId = id;
    this.ended = id === END_ID;
    if (data.length) return { type, data: data.join("\n"), id, lastEventId: this.lastEventId };
    if (id !== null) return { type, data: null, id, lastEventId: this.lastEventId };
  }
}

/** An event of a stream. Its `type`, `data`, `lastEventId` and `origin` are those of an EventSource's events. */
export class StreamEvent extends MessageEvent {
  /** @param {Frame} frame @param {string} origin */
  constructor({ type, data, id, lastEventId }, origin) {
    super(type, { data, lastEventId, origin });
    /** The ID in this event's own frame, or null. */
    this.id = id;
  }

  /** Parses the data as JSON. @returns {any} */
  json() {
    return JSON.parse(this.data);
  }
}

/** Reports that a connection was opened (`open`), ended or failed (`error`), or that the stream is over (`close`). */
export class ConnectionEvent extends Event {
  /** @param {string} type @param {{error?: Error | null, delay?: number | null, reason?: string | null}} [details] */
  constructor(type, { error = null, delay = null, reason = null } = {}) {
    super(type);
    /** Why the connection failed. null if the server ended the response. */
    this.error = error;
    /** Milliseconds until the stream reconnects, or null if it doesn't. */
    this.delay = delay;
    /** Why the stream is over: `ended`, `refused`, `lost`, `failed`, `closed` or `aborted`. */
    this.reason = reason;
  }
}

/** The base class of the errors below. */
export class StreamError extends Error {
  name = "StreamError";
}

/** The connection was lost, or nothing arrived for too long. */
export class LostError extends StreamError {
  name = "LostError";
}

/** The response was not an event stream. */
export class RefusedError extends StreamError {
  name = "RefusedError";

  /** @param {Answer} answer */
  constructor(answer) {
    const status = `${answer.status} ${answer.statusText}`.trim();
    super(`Expected an event stream from ${answer.url}, got ${status} (${answer.contentType || "no content type"}).`);
    this.answer = answer;
    this.status = answer.status;
    this.statusText = answer.statusText;
    this.contentType = answer.contentType;
    /** Milliseconds that the header Retry-After asks for, or null. */
    this.retryAfter = answer.retryAfter;
    /** The body as text. */
    this.text = answer.text;
    /** The body, parsed if it is JSON, otherwise as text. @type {any} */
    this.body = bodyOf(answer);
  }

  /** Whether a later request can succeed. */
  get temporary() {
    return TEMPORARY.includes(this.status);
  }
}

/** @param {Answer} answer */
function bodyOf({ contentType, text }) {
  if (!/^application\/([^\s;]+\+)?json\s*(;|$)/i.test(contentType)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

// One stream, over as many connections as it takes. Each frame is awaited before more is read.
class Connection {
  #settings;
  #signal;
  #listener;
  #url;
  #lastEventId;
  #retry;
  #failures = 0;
  #over = false;
  #continued = false; // with GET from the Location of the response
  #maybeOver = false; // the response was complete, but the server offers more at its Location
  #lastType = "";
  #readFrom = 0; // when reading last paused

  /** @param {Settings} settings @param {AbortSignal} signal @param {Listener} listener */
  constructor(settings, signal, listener) {
    this.#settings = settings;
    this.#signal = signal;
    this.#listener = listener;
    this.#url = settings.url;
    this.#lastEventId = settings.lastEventId;
    this.#retry = settings.retry;
  }

  get #isGet() {
    return this.#continued || this.#settings.method === "GET";
  }

  get #mayRepeat() {
    return this.#isGet || this.#settings.resend;
  }

  // Returns when the stream has ended. Throws a StreamError, or the signal's reason.
  async run() {
    for (;;) {
      const error = await this.#connect();
      if (this.#over || (this.#maybeOver && error instanceof RefusedError && !error.temporary)) return;
      if (error instanceof LostError) this.#maybeOver = false;
      const delay = error ? this.#delayAfter(error) : this.#maybeOver ? 0 : this.#retry;
      this.#listener.waiting(error, delay);
      await sleep(delay, this.#signal);
    }
  }

  /** @param {StreamError} error */
  #delayAfter(error) {
    const refused = error instanceof RefusedError;
    if (!this.#mayRepeat || (refused && !error.temporary)) throw error;
    this.#failures += 1;
    const { maxRetry } = this.#settings;
    const backoff = Math.max(this.#retry, Math.min(this.#retry * 2 ** (this.#failures - 1), maxRetry));
    const delay = Math.max(backoff, (refused && error.retryAfter) || 0);
    return Math.round(delay * (1 + Math.random() / 2)); // clients that failed together don't return together
  }

  // Opens and reads one connection. Returns why it failed, or null if the server ended it.
  async #connect() {
    this.#signal.throwIfAborted();
    const aborter = new AbortController();
    const abort = () => aborter.abort(this.#signal.reason);
    this.#signal.addEventListener("abort", abort);
    try {
      await this.#request(aborter);
      return null;
    } catch (error) {
      this.#signal.throwIfAborted();
      if (error instanceof StreamError) return error;
      throw error;
    } finally {
      this.#signal.removeEventListener("abort", abort);
      aborter.abort(); // closes a connection that was not read to its end
    }
  }

  /** @param {AbortController} aborter */
  async #request(aborter) {
    const init = { ...(await this.#init()), signal: aborter.signal };
    // The server may need long for an answer. Waiting is better than losing a request that isn't repeated.
    const response = await this.#network(aborter, fetch(this.#url, init), this.#mayRepeat);
    if (response.status === 204 && this.#mayRepeat) return this.#end();
    if (!this.#isStream(response)) throw new RefusedError(await this.#answer(aborter, response));
    const wasGet = this.#isGet;
    this.#maybeOver = false;
    this.#continueFrom(response);
    this.#listener.opened();
    await this.#read(aborter, /** @type {ReadableStream<Uint8Array>} */ (response.body));
    if (wasGet) return;
    if (this.#continued && this.#lastType !== "end") this.#maybeOver = true;
    else this.#end();
  }

  #end() {
    this.#over = true;
  }

  async #init() {
    const { method, credentials = "same-origin" } = this.#settings;
    const body = this.#continued ? undefined : encoded(this.#settings.body);
    const headers = new Headers(await headersOf(this.#settings));
    if (!headers.has("Accept")) headers.set("Accept", "text/event-stream");
    if (body !== this.#settings.body && body && !headers.has("Content-Type")) headers.set("Content-Type", "application/json");
    if (this.#continued) headers.delete("Content-Type");
    if (this.#lastEventId) headers.set("Last-Event-ID", utf8(this.#lastEventId));
    return { method: this.#continued ? "GET" : method, body, headers, credentials, cache: /** @type {const} */ ("no-store") };
  }

  /** @param {Response} response */
  #isStream(response) {
    const type = response.headers.get("Content-Type") ?? "";
    const success = this.#isGet ? response.status === 200 : response.ok;
    return success && response.body !== null && /^\s*text\/event-stream\s*(;|$)/i.test(type);
  }

  // The server offers the rest of a stream that was opened by POST at a URL for GET.
  /** @param {Response} response */
  #continueFrom(response) {
    const location = response.headers.get("Location");
    if (this.#isGet || location === null) return;
    const url = new URL(location, response.url);
    if (url.origin !== new URL(response.url).origin) return;
    this.#url = url.href;
    this.#continued = true;
  }

  /** @param {AbortController} aborter @param {ReadableStream<Uint8Array>} body */
  async #read(aborter, body) {
    const parser = new EventStreamParser({
      lastEventId: this.#lastEventId,
      onRetry: (milliseconds) => {
        this.#retry = milliseconds;
        this.#settings.onRetry?.(milliseconds);
      },
    });
    const reader = body.getReader();
    for (;;) {
      const { value, done } = await this.#network(aborter, reader.read(), true);
      if (done) break;
      this.#failures = 0;
      for (const part of parser.feedAll(value)) {
        if ("comment" in part) {
          this.#settings.onComment?.(part.comment);
          continue;
        }
        this.#lastEventId = part.lastEventId;
        this.#lastType = part.type;
        await this.#listener.frame(part);
        this.#signal.throwIfAborted();
      }
      if (parser.ended) return this.#end();
      await this.#pause();
    }
  }

  // Lets the browser draw if a stream sends without a break.
  async #pause() {
    const now = performance.now();
    if (now - this.#readFrom < BUSY) return;
    await yieldToBrowser();
    this.#readFrom = performance.now();
  }

  // Awaits the network, for at most the heartbeat timeout. Every failure is a StreamError.
  /** @template T @param {AbortController} aborter @param {Promise<T>} promise @param {boolean} limited @returns {Promise<T>} */
  async #network(aborter, promise, limited) {
    const limit = limited ? this.#settings.heartbeatTimeout : null;
    const late = () => aborter.abort(new LostError(`Nothing has arrived for ${limit} ms.`));
    const timer = limit ? setTimeout(late, Math.min(limit, MAX_TIMER)) : undefined;
    try {
      return await promise;
    } catch (error) {
      if (error instanceof StreamError) throw error;
      throw new LostError("The connection was lost, or could not be opened.", { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  /** @param {AbortController} aborter @param {Response} response @returns {Promise<Answer>} */
  async #answer(aborter, response) {
    const { url, status, statusText, headers } = response;
    const retryAfter = milliseconds(headers.get("Retry-After"));
    const text = response.body ? await this.#text(aborter, response.body) : "";
    return { url, status, statusText, contentType: headers.get("Content-Type") ?? "", text, retryAfter };
  }

  /** @param {AbortController} aborter @param {ReadableStream<Uint8Array>} body */
  async #text(aborter, body) {
    const decoder = new TextDecoder();
    const reader = body.getReader();
    let text = "";
    while (text.length < MAX_BODY) {
      const { value, done } = await this.#network(aborter, reader.read(), true);
      if (done) break;
      text += decoder.decode(value, { stream: true });
    }
    return text.slice(0, MAX_BODY);
  }
}

/** @param {StreamOptions} options */
async function headersOf({ headers }) {
  return typeof headers === "function" ? await headers() : headers;
}

/** @param {any} body */
function encoded(body) {
  if (body === null || typeof body !== "object") return body;
  const prototype = Object.getPrototypeOf(body);
  return Array.isArray(body) || prototype === Object.prototype || prototype === null ? JSON.stringify(body) : body;
}

// Last-Event-ID is sent as UTF-8. fetch sends each character of a header as one byte.
/** @param {string} text */
function utf8(text) {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
}

// The value of Retry-After: seconds or a date.
/** @param {string | null} value */
function milliseconds(value) {
  if (value === null) return null;
  const delay = /^\s*\d+\s*$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(delay) && delay >= 0 ? delay : null;
}

// Waits, but not longer than until the computer is online again.
/** @param {number} delay @param {AbortSignal} signal @returns {Promise<void>} */
function sleep(delay, signal) {
  return new Promise((resolve, reject) => {
    const finish = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", finish);
      globalThis.removeEventListener?.("online", finish);
      if (signal.aborted) reject(signal.reason);
      else resolve();
    };
    const timer = setTimeout(finish, Math.min(delay, MAX_TIMER));
    signal.addEventListener("abort", finish);
    globalThis.addEventListener?.("online", finish);
    if (signal.aborted) finish();
  });
}

/** @param {AbortSignal} signal @returns {Promise<void>} */
function aborted(signal) {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

// Browsers slow down timers in hidden tabs, but not messages.
/** @returns {Promise<void>} */
function yieldToBrowser() {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      channel.port1.close();
      resolve();
    };
    channel.port2.postMessage(null);
  });
}

// Hands events to the listeners and to the iterator. The writer waits until the iterator has taken an event.
class Outlet {
  #target;
  #iterating = false;
  /** @type {{resolve: (result: IteratorResult<StreamEvent, undefined>) => void, reject: (error: unknown) => void}[]} */
  #readers = []; // calls of next() that wait for an event
  /** @type {{event: StreamEvent, taken: () => void} | null} */
  #offer = null; // an event that waits for a call of next()
  /** @type {{error: unknown} | null} */
  #finished = null;
  #attach = () => {};
  /** @type {Promise<void> | null} */
  #attached = new Promise((resolve) => (this.#attach = resolve));

  /** @param {EventTarget} target */
  constructor(target) {
    this.#target = target;
  }

  // Resolves when someone reads the stream; null if someone does. Until then, its first event waits.
  get attached() {
    return this.#attached;
  }

  attach() {
    this.#attach();
    this.#attached = null;
  }

  /** @param {StreamEvent} event @returns {void | Promise<void>} */
  deliver(event) {
    if (this.#finished) return;
    this.#target.dispatchEvent(event);
    if (!this.#iterating || this.#finished) return;
    const reader = this.#readers.shift();
    if (reader) return reader.resolve({ value: event, done: false });
    return new Promise((taken) => (this.#offer = { event, taken }));
  }

  /** @param {unknown} error */
  finish(error) {
    this.#finished = { error };
    this.#offer?.taken();
    this.#offer = null;
    this.attach();
    for (const { resolve, reject } of this.#readers.splice(0)) this.#conclude().then(resolve, reject);
  }

  begin() {
    if (this.#iterating) throw new TypeError("The stream is already being iterated. Open it a second time instead.");
    this.#iterating = true;
    this.attach();
  }

  /** @returns {Promise<IteratorResult<StreamEvent, undefined>>} */
  next() {
    if (this.#finished) return this.#conclude();
    if (!this.#offer) return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
    const { event, taken } = this.#offer;
    this.#offer = null;
    taken();
    return Promise.resolve({ value: event, done: false });
  }

  // Reports an error once. Later calls of next() report the end.
  /** @returns {Promise<IteratorResult<StreamEvent, undefined>>} */
  async #conclude() {
    const error = this.#finished?.error ?? null;
    this.#finished = { error: null };
    if (error !== null) throw error;
    return { value: undefined, done: true };
  }
}

/** A stream of events. Read it with `for await`, or with listeners like an EventSource. */
export class EventStream extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 2;

  #url;
  #origin;
  #lastEventId;
  #signal;
  #readyState = EventStream.CONNECTING;
  #aborter = new AbortController();
  #outlet = new Outlet(this);
  /** @type {Record<string, ((event: any) => void) | null>} */
  #handlers = {};

  /** Use open(). @param {Settings} settings */
  constructor(settings) {
    super();
    this.#url = settings.url;
    this.#origin = new URL(settings.url).origin;
    this.#lastEventId = settings.lastEventId;
    this.#signal = settings.signal;
    this.#signal?.addEventListener("abort", this.#aborted);
    this.#run(settings);
  }

  /** The absolute URL of the stream. */
  get url() {
    return this.#url;
  }

  /** CONNECTING (0, also while the stream waits to reconnect), OPEN (1) or CLOSED (2). */
  get readyState() {
    return this.#readyState;
  }

  /** The last ID that the stream has set with what was delivered so far. */
  get lastEventId() {
    return this.#lastEventId;
  }

  /** Closes the stream, which ends an iteration. */
  close() {
    this.#close("closed", null);
  }

  /** Iterates over the events. Leaving the loop closes the stream. @returns {AsyncIterableIterator<StreamEvent>} */
  [Symbol.asyncIterator]() {
    this.#outlet.begin();
    return {
      next: () => this.#outlet.next(),
      return: async () => {
        this.close();
        return { value: undefined, done: true };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /**
   * @param {string} type
   * @param {any} listener
   * @param {boolean | AddEventListenerOptions} [options]
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, listener, options);
    if (!LIFECYCLE.includes(type)) this.#outlet.attach();
  }

  /** @type {((event: StreamEvent) => void) | null} */
  get onmessage() {
    return this.#handlers.message ?? null;
  }

  set onmessage(handler) {
    this.#handle("message", handler);
  }

  /** @type {((event: ConnectionEvent | StreamEvent) => void) | null} */
  get onopen() {
    return this.#handlers.open ?? null;
  }

  set onopen(handler) {
    this.#handle("open", handler);
  }

  /** @type {((event: ConnectionEvent | StreamEvent) => void) | null} */
  get onerror() {
    return this.#handlers.error ?? null;
  }

  set onerror(handler) {
    this.#handle("error", handler);
  }

  /** @type {((event: ConnectionEvent | StreamEvent) => void) | null} */
  get onclose() {
    return this.#handlers.close ?? null;
  }

  set onclose(handler) {
    this.#handle("close", handler);
  }

  /** @param {string} type @param {((event: any) => void) | null} handler */
  #handle(type, handler) {
    const old = this.#handlers[type];
    if (old) this.removeEventListener(type, old);
    this.#handlers[type] = handler;
    if (handler) this.addEventListener(type, handler);
  }

  /** @param {Settings} settings */
  async #run(settings) {
    await null; // so that the caller can add listeners
    if (this.#signal?.aborted) return this.#aborted();
    const listener = {
      opened: () => this.#opened(),
      waiting: this.#waiting.bind(this),
      frame: this.#deliver.bind(this),
    };
    try {
      const Reader = settings.shared && canShare() ? SharedConnection : Connection;
      await new Reader(settings, this.#aborter.signal, listener).run();
      this.#close("ended", null);
    } catch (error) {
      this.#close(error instanceof RefusedError ? "refused" : error instanceof LostError ? "lost" : "failed", error);
    }
  }

  #opened() {
    this.#readyState = EventStream.OPEN;
    this.dispatchEvent(new ConnectionEvent("open"));
  }

  /** @param {StreamError | null} error @param {number} delay */
  #waiting(error, delay) {
    this.#readyState = EventStream.CONNECTING;
    this.dispatchEvent(new ConnectionEvent("error", { error, delay }));
  }

  /** @param {AnyFrame} frame @returns {void | Promise<void>} */
  #deliver(frame) {
    if (this.#outlet.attached) return this.#outlet.attached.then(() => this.#deliver(frame));
    if (this.#readyState === EventStream.CLOSED) return;
    this.#lastEventId = frame.lastEventId;
    if (frame.data !== null) return this.#outlet.deliver(new StreamEvent(/** @type {Frame} */ (frame), this.#origin));
  }

  #aborted = () => this.#close("aborted", this.#signal?.reason);

  /** @param {string} reason @param {any} error */
  #close(reason, error) {
    if (this.#readyState === EventStream.CLOSED) return;
    this.#readyState = EventStream.CLOSED;
    this.#signal?.removeEventListener("abort", this.#aborted);
    this.#aborter.abort();
    this.#outlet.finish(error);
    if (error !== null && reason !== "aborted") this.dispatchEvent(new ConnectionEvent("error", { error, reason }));
    this.dispatchEvent(new ConnectionEvent("close", { error, reason }));
  }
}

const OPTIONS = [
  ...["method", "body", "headers", "credentials", "lastEventId", "signal", "shared", "retry", "maxRetry"],
  ...["heartbeatTimeout", "resend", "onComment", "onRetry"],
];

/**
 * Opens a stream and returns it. It reconnects until it has ended or is closed.
 * Throws a TypeError if an option is not valid.
 * @param {string | URL} url
 * @param {StreamOptions} [options]
 */
export function open(url, options = {}) {
  for (const name of Object.keys(options)) {
    if (!OPTIONS.includes(name)) throw new TypeError(`Expected one of the options ${OPTIONS.join(", ")}, got ${name}.`);
  }
  const method = (options.method ?? (options.body == null ? "GET" : "POST")).toUpperCase();
  /** @type {Settings} */
  const settings = {
    ...{ retry: RETRY, maxRetry: MAX_RETRY, heartbeatTimeout: HEARTBEAT_TIMEOUT, resend: false, lastEventId: "" },
    ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
    ...{ method, url: new URL(url, globalThis.location?.href).href },
  };
  settings.lastEventId ??= "";
  check(settings);
  return new EventStream(settings);
}

// A mistake in the options must not look like a connection that fails again and again.
/** @param {Settings} settings */
function check({ url, method, body, headers, shared, lastEventId, signal, credentials }) {
  const known = typeof headers === "function" ? undefined : headers;
  const id = { "Last-Event-ID": utf8(lastEventId) };
  new Request(url, { method, body: encoded(body), headers: known, credentials, signal });
  new Headers(id);
  if (!shared) return;
  if (method !== "GET") throw new TypeError(`Expected GET for a shared stream, got ${method}. Open it without \`shared\`.`);
  if (typeof headers === "function" && shared === true) {
    throw new TypeError("Expected a name in `shared` if `headers` is a function: tabs of other users must have another one.");
  }
}

function canShare() {
  return "locks" in (globalThis.navigator ?? {}) && "BroadcastChannel" in globalThis;
}

// Shared streams. Every tab asks for a Web Lock, and the tab that has it leads: it reads the stream and posts each frame
// to a BroadcastChannel, from which all tabs receive it, the leader's too. The next leader continues from the last ID that
// it has received. The other tabs may have received more, and drop what is repeated.

const MAX_QUEUE = 1_000; // frames that wait for a slow reader
const MAX_SEEN = 1_000; // IDs that a tab remembers
const PING = 5_000; // milliseconds of silence after which a tab asks whether the leader is alive

/** @param {Settings} settings */
function sharedName({ url, headers, credentials, shared }) {
  const own = typeof shared === "string" ? shared : [...new Headers(/** @type {HeaderValues} */ (headers))];
  return `adrf-sse ${JSON.stringify([url, credentials ?? "same-origin", own])}`;
}

/**
 * @typedef {{kind: "position", term: number, number: number, lastEventId: string, isOpen: boolean}} Position
 * @typedef {Position
 *   | {kind: "frame", term: number, number: number, frame: AnyFrame}
 *   | {kind: "open", term: number}
 *   | {kind: "waiting", term: number, failure: Failure | null, delay: number}
 *   | {kind: "over", term: number, failure: Failure | null}
 *   | {kind: "ask"}} SharedMessage
 * @typedef {{message: string, answer: Answer | null}} Failure
 */

/** @param {any} error @returns {Failure} */
function failureOf(error) {
  return { message: String(error?.message ?? error), answer: error instanceof RefusedError ? error.answer : null };
}

/** @param {Failure | null} failure */
function errorOf(failure) {
  if (failure === null) return null;
  return failure.answer ? new RefusedError(failure.answer) : new LostError(failure.message);
}

// The IDs of the last frames that a tab has received.
class Seen {
  /** @type {Set<string>} */
  #ids = new Set();

  /** @param {string | null} id */
  add(id) {
    if (id === null) return;
    this.#ids.delete(id);
    this.#ids.add(id);
    if (this.#ids.size > MAX_SEEN) for (const oldest of this.#ids) return this.#ids.delete(oldest);
  }

  /** @param {string | null} id */
  has(id) {
    return id !== null && this.#ids.has(id);
  }
}

// Channels send their position after what was missed, and live lists their state. Everything up to its ID was sent before.
/** @param {AnyFrame} frame */
function isPosition({ type, data, id }) {
  return /^\d+$/.test(id ?? "") && (data === null || type === "ready" || type === "snapshot");
}

// The part of a tab that reads the stream for all tabs, for as long as the tab has the lock.
class Leader {
  #channel;
  #term;
  #number = 0; // of the last frame
  #lastEventId;
  #isOpen = false;
  #connection;
  #signal;

  /** @param {Settings} settings @param {number} term @param {AbortSignal} signal */
  constructor(settings, term, signal) {
    this.#term = term;
    this.#lastEventId = settings.lastEventId;
    this.#signal = signal;
    this.#channel = new BroadcastChannel(sharedName(settings));
    this.#connection = new Connection(settings, signal, this);
  }

  // Returns after the signal has been aborted.
  async run() {
    this.#channel.onmessage = ({ data }) => data.kind === "ask" && this.#postPosition();
    this.#postPosition();
    try {
      await this.#connection.run();
      this.#post({ kind: "over", term: this.#term, failure: null });
    } catch (error) {
      if (!this.#signal.aborted) this.#post({ kind: "over", term: this.#term, failure: failureOf(error) });
    }
    await aborted(this.#signal); // this tab releases the lock when it receives the message
    this.#channel.close();
  }

  #postPosition() {
    const [term, number, lastEventId, isOpen] = [this.#term, this.#number, this.#lastEventId, this.#isOpen];
    this.#post({ kind: "position", term, number, lastEventId, isOpen });
  }

  /** @param {SharedMessage} message */
  #post(message) {
    if (!this.#signal.aborted) this.#channel.postMessage(message);
  }

  opened() {
    this.#isOpen = true;
    this.#post({ kind: "open", term: this.#term });
  }

  /** @param {StreamError | null} error @param {number} delay */
  waiting(error, delay) {
    this.#isOpen = false;
    this.#post({ kind: "waiting", term: this.#term, failure: error && failureOf(error), delay });
  }

  /** @param {AnyFrame} frame */
  frame(frame) {
    this.#number += 1;
    this.#lastEventId = frame.lastEventId;
    this.#post({ kind: "frame", term: this.#term, number: this.#number, frame });
  }
}

// What a tab does with a shared stream. It has the interface of Connection.
class SharedConnection {
  #settings;
  #signal;
  #listener;
  #name;
  #channel;
  #interval;
  /** @type {"joining" | "live" | "catching up" | "behind"} */
  #mode = "joining";
  #term = 0; // of the leader
  #number = 0; // of the last frame that the leader has posted
  /** @type {string | null} */
  #received = null; // the last ID; null if this tab starts with whatever comes next
  #seen = new Seen();
  /** @type {string | null} */
  #repeatedUntil = null; // the new leader repeats frames, up to the one with this ID
  #position = -1; // the leader may still post frames up to this ID, which this tab has read on its own
  /** @type {AnyFrame[]} */
  #queue = []; // received, not yet delivered
  /** @type {AnyFrame[]} */
  #held = []; // posted by the leader while this tab catches up
  #target = ""; // the leader's last ID before the frames in #held
  #catchingUp = new AbortController();
  #candidacy = new AbortController();
  #isOpen = false;
  #heard = 0; // when the leader was heard last
  #asked = false; // whether it was asked for a sign of life since
  #watched = 0;
  /** @type {{error: any} | null} */
  #outcome = null;
  #wake = () => {};
  #makeRoom = () => {};

  /** @param {Settings} settings @param {AbortSignal} signal @param {Listener} listener */
  constructor(settings, signal, listener) {
    this.#settings = settings;
    this.#signal = signal;
    this.#listener = listener;
    this.#received = settings.lastEventId || null;
    this.#seen.add(this.#received);
    this.#name = sharedName(settings);
    this.#channel = new BroadcastChannel(this.#name);
    this.#interval = Math.min(PING, (settings.heartbeatTimeout || Infinity) / 3);
  }

  async run() {
    const wake = () => this.#wake();
    const freeze = () => this.#candidacy.abort(); // a tab that doesn't run can't lead
    const resume = () => this.#outcome || this.#campaign();
    const timer = setInterval(() => this.#watch(), this.#interval);
    this.#signal.addEventListener("abort", wake);
    globalThis.document?.addEventListener("freeze", freeze);
    globalThis.document?.addEventListener("resume", resume);
    this.#channel.onmessage = ({ data }) => this.#receive(data);
    this.#heard = this.#watched = performance.now();
    this.#campaign();
    this.#post({ kind: "ask" });
    try {
      await this.#pump();
    } finally {
      clearInterval(timer);
      this.#signal.removeEventListener("abort", wake);
      globalThis.document?.removeEventListener("freeze", freeze);
      globalThis.document?.removeEventListener("resume", resume);
      this.#channel.close();
      this.#candidacy.abort();
      this.#catchingUp.abort();
    }
  }

  // Delivers what has been received, as fast as the reader takes it.
  async #pump() {
    for (;;) {
      for (let frame = this.#queue.shift(); frame; frame = this.#queue.shift()) {
        this.#makeRoom();
        await this.#listener.frame(frame);
        this.#signal.throwIfAborted();
      }
      if (this.#outcome?.error) throw this.#outcome.error;
      if (this.#outcome) return;
      if (this.#mode === "behind") this.#join();
      await new Promise((resolve) => (this.#wake = () => resolve(null)));
      this.#signal.throwIfAborted();
    }
  }

  /** @param {any} error */
  #finish(error) {
    this.#outcome = { error };
    this.#candidacy.abort();
    this.#catchingUp.abort();
    this.#wake();
  }

  /** @param {SharedMessage} message */
  #post(message) {
    this.#channel.postMessage(message);
  }

  // Election

  #campaign(steal = false) {
    this.#candidacy.abort();
    const { signal } = (this.#candidacy = new AbortController());
    const options = steal ? { steal } : { signal };
    navigator.locks.request(this.#name, options, () => this.#lead(signal)).catch((error) => {
      if (signal.aborted) return;
      if (error.name === "AbortError") this.#campaign(); // another tab has stolen the lock
      else this.#finish(error);
    });
  }

  /** @param {AbortSignal} signal */
  #lead(signal) {
    const term = Math.max(Date.now() + Math.random(), this.#term + 1);
    const settings = { ...this.#settings, lastEventId: this.#received ?? "", onComment: undefined, onRetry: undefined };
    return new Leader(settings, term, signal).run();
  }

  // A leader that is stopped, as browsers do with tabs in the background, is replaced. It may still have the lock.
  #watch() {
    const now = performance.now();
    const late = now - this.#watched > 2 * this.#interval; // this tab itself was stopped
    this.#watched = now;
    if (now - this.#heard < this.#interval || this.#outcome) return;
    if (this.#asked && !late) {
      this.#heard = now;
      this.#asked = false;
      this.#campaign(true);
    } else {
      this.#asked = true;
      this.#post({ kind: "ask" });
    }
  }

  // Messages of the leader

  /** @param {SharedMessage} message */
  #receive(message) {
    if (message.kind === "ask" || message.term < this.#term || this.#outcome) return;
    this.#heard = performance.now();
    this.#asked = false;
    if (message.kind === "position") return this.#align(message);
    if (this.#mode === "joining") return;
    if (message.term !== this.#term) this.#join();
    else if (message.kind === "frame") this.#receiveFrame(message.number, message.frame);
    else if (message.kind === "open") this.#opened();
    else if (message.kind === "waiting") this.#waiting(/** @type {any} */ (errorOf(message.failure)), message.delay);
    // Otherwise this tab still lacks frames. It reads them itself.
    else if (this.#mode === "live") this.#finish(errorOf(message.failure));
  }

  #opened() {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#listener.opened();
  }

  /** @param {StreamError | null} error @param {number} delay */
  #waiting(error, delay) {
    this.#isOpen = false;
    this.#listener.waiting(error, delay);
  }

  #join() {
    this.#mode = "joining";
    this.#catchingUp.abort();
    this.#post({ kind: "ask" });
  }

  // Decides how to continue with a leader that has read up to this position.
  /** @param {Position} position */
  #align({ term, number, lastEventId, isOpen }) {
    if (isOpen) this.#opened();
    if (this.#mode !== "joining" && term === this.#term && number === this.#number) return;
    this.#term = term;
    this.#number = number;
    this.#held = [];
    this.#target = lastEventId;
    if (this.#mode === "behind") return;
    this.#received ??= lastEventId || null;
    const received = this.#received ?? "";
    this.#repeatedUntil = null;
    if (lastEventId === received) this.#follow([]);
    else if (this.#seen.has(lastEventId)) this.#follow([], received);
    else if (this.#mode !== "catching up") this.#catchUp();
  }

  /** @param {AnyFrame[]} held @param {string | null} repeatedUntil @param {number} position */
  #follow(held, repeatedUntil = null, position = -1) {
    this.#catchingUp.abort();
    this.#mode = "live";
    this.#held = [];
    this.#repeatedUntil = repeatedUntil;
    this.#position = position;
    for (const frame of held) this.#accept(frame);
  }

  /** @param {number} number @param {AnyFrame} frame */
  #receiveFrame(number, frame) {
    if (number !== this.#number + 1) return this.#join();
    this.#number = number;
    if (this.#mode === "live") this.#accept(frame);
    else if (this.#mode === "catching up") this.#hold(frame);
  }

  /** @param {AnyFrame} frame */
  #accept(frame) {
    if (this.#mode !== "live" || this.#isRepeated(frame)) return;
    if (this.#queue.length < MAX_QUEUE) return this.#enqueue(frame);
    if (this.#received === null) {
      return this.#finish(new LostError(`This tab is ${MAX_QUEUE} events behind, and the events have no IDs to resume from.`));
    }
    this.#mode = "behind";
  }

  /** @param {AnyFrame} frame */
  #isRepeated({ id }) {
    if (id !== null && Number(id) <= this.#position) return true;
    if (id !== null) this.#position = -1;
    if (this.#repeatedUntil === null) return false;
    if (id === this.#repeatedUntil) this.#repeatedUntil = null;
    else if (id !== null && !this.#seen.has(id)) {
      this.#repeatedUntil = null;
      return false;
    }
    return true;
  }

  /** @param {AnyFrame} frame */
  #enqueue(frame) {
    this.#received = frame.lastEventId || null;
    this.#seen.add(frame.id);
    this.#queue.push(frame);
    this.#wake();
  }

  // A tab that was opened with an older ID, or that has fallen behind, reads what it lacks on a connection of its own, up
  // to a frame that the leader has posted too.

  async #catchUp() {
    this.#mode = "catching up";
    const { signal } = (this.#catchingUp = new AbortController());
    const settings = { ...this.#settings, lastEventId: this.#received ?? "", onComment: undefined, onRetry: undefined };
    const connection = new Connection(settings, signal, {
      opened: () => this.#opened(),
      waiting: (error, delay) => this.#waiting(error, delay),
      frame: (frame) => this.#catchUpWith(frame, signal),
    });
    try {
      await connection.run();
      this.#finish(null);
    } catch (error) {
      if (!signal.aborted) this.#finish(error);
    }
  }

  /** @param {AnyFrame} frame @param {AbortSignal} signal */
  async #catchUpWith(frame, signal) {
    while (this.#queue.length >= MAX_QUEUE) await new Promise((resolve) => (this.#makeRoom = () => resolve(null)));
    if (signal.aborted) return;
    this.#enqueue(frame);
    if (frame.id === null) return;
    const at = this.#held.findIndex(({ id }) => id === frame.id);
    if (at !== -1) this.#follow(this.#held.slice(at + 1));
    else if (frame.id === this.#target) this.#follow(this.#held);
    else if (isPosition(frame)) this.#follow(this.#held, null, Number(frame.id));
  }

  /** @param {AnyFrame} frame */
  #hold(frame) {
    const received = this.#received;
    if (this.#seen.has(frame.id)) return this.#follow([], frame.id === received ? null : received); // it is ahead
    this.#held.push(frame);
    if (this.#held.length <= MAX_QUEUE) return;
    this.#target = frame.lastEventId;
    this.#held = [];
  }
}
