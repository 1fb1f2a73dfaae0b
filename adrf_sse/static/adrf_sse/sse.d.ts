/** The types of sse.js. https://adrf-sse.readthedocs.io/en/stable/browser/ describes what they stand for. */

export interface StreamOptions {
  /** `GET`, or `POST` if there is a body. */
  method?: string;
  /** Whatever `fetch` accepts. Plain objects and arrays are sent as JSON. */
  body?: any;
  /** A function is called before each request, for tokens that expire. */
  headers?: HeaderValues | (() => HeaderValues | Promise<HeaderValues>);
  /** `same-origin` by default. */
  credentials?: RequestCredentials;
  /** Where to resume. */
  lastEventId?: string;
  /** Closes the stream. */
  signal?: AbortSignal;
  /**
   * Share one connection with the other tabs of this origin that read the same URL with the same headers, or, if it is a
   * string, with the same URL and this name.
   */
  shared?: boolean | string;
  /** Milliseconds until a reconnection, until the stream sets it. 3,000 by default. */
  retry?: number;
  /** The longest delay in milliseconds while connections fail. 60,000 by default. */
  maxRetry?: number;
  /** Milliseconds without a byte after which a connection is lost. 45,000 by default; `null` waits forever. */
  heartbeatTimeout?: number | null;
  /** Repeat a request that is not a GET if its connection is lost. */
  resend?: boolean;
  /** Called with each comment; heartbeats are comments. Not called for shared streams. */
  onComment?: (text: string) => void;
  /** Called with each reconnection delay that the stream sets. Not called for shared streams. */
  onRetry?: (milliseconds: number) => void;
}

export type HeaderValues = Record<string, string> | Headers | [string, string][];

/** Opens a stream. It reconnects until it has ended or is closed. Throws a TypeError if an option is not valid. */
export function open(url: string | URL, options?: StreamOptions): EventStream;

/** The ID in the last frame of a finite stream. A stream that has sent it is not requested again. */
export const END_ID: "adrf-sse-end";

type Handler<E> = ((event: E) => void) | null;

/** A stream of events. Read it with `for await`, or with listeners like an EventSource. */
export class EventStream extends EventTarget {
  private constructor();
  static readonly CONNECTING: number;
  static readonly OPEN: number;
  static readonly CLOSED: number;
  /** The absolute URL of the stream. */
  readonly url: string;
  /** CONNECTING (0, also while the stream waits to reconnect), OPEN (1) or CLOSED (2). */
  readonly readyState: number;
  /** The last ID that the stream has set with what was delivered so far. */
  readonly lastEventId: string;
  onmessage: Handler<StreamEvent>;
  /** The server's events can have these names too. They have `data`. */
  onopen: Handler<ConnectionEvent | StreamEvent>;
  onerror: Handler<ConnectionEvent | StreamEvent>;
  onclose: Handler<ConnectionEvent | StreamEvent>;
  addEventListener(
    type: "open" | "error" | "close",
    listener: (event: ConnectionEvent | StreamEvent) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: ((event: StreamEvent) => void) | EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  /** Closes the stream, which ends an iteration. */
  close(): void;
  /** Iterates over the events. Leaving the loop closes the stream. */
  [Symbol.asyncIterator](): AsyncIterableIterator<StreamEvent>;
}

/** An event of a stream. */
export class StreamEvent extends MessageEvent<string> {
  private constructor();
  /** The ID in this event's own frame, or null. */
  readonly id: string | null;
  /** Parses the data as JSON. */
  json<T = any>(): T;
}

/** Reports that a connection was opened (`open`), ended or failed (`error`), or that the stream is over (`close`). */
export class ConnectionEvent extends Event {
  private constructor();
  /** Why the connection failed. null if the server ended the response. */
  readonly error: Error | null;
  /** Milliseconds until the stream reconnects, or null if it doesn't. */
  readonly delay: number | null;
  /** Why the stream is over. */
  readonly reason: "ended" | "refused" | "lost" | "failed" | "closed" | "aborted" | null;
}

/** The base class of LostError and RefusedError. */
export class StreamError extends Error {}

/** The connection was lost, or nothing arrived for too long. */
export class LostError extends StreamError {}

/** The response was not an event stream. */
export class RefusedError extends StreamError {
  private constructor();
  readonly status: number;
  readonly statusText: string;
  readonly contentType: string;
  /** Milliseconds that the header Retry-After asks for, or null. */
  readonly retryAfter: number | null;
  /** The body as text. */
  readonly text: string;
  /** The body, parsed if it is JSON, otherwise as text. */
  readonly body: any;
  /** Whether a later request can succeed. */
  readonly temporary: boolean;
}

/** Parses an event stream incrementally, exactly as the specification says. */
export class EventStreamParser {
  constructor(options?: { lastEventId?: string; onRetry?: (milliseconds: number) => void });
  lastEventId: string;
  /** Whether the stream has sent the ID of its end. Everything after it is ignored. */
  ended: boolean;
  /** Returns the events that this chunk completes. */
  feed(chunk: Uint8Array): Frame[];
  /** Returns the events that this chunk completes, the frames that only set an ID, and the comments. */
  feedAll(chunk: Uint8Array): (Frame | (Omit<Frame, "data"> & { data: null }) | { comment: string })[];
}

/** An event as the parser returns it. */
export interface Frame {
  /** The event's name, `message` if it has none. */
  type: string;
  data: string;
  /** The ID in this event's own frame, or null. */
  id: string | null;
  /** The last ID that the stream has set so far. */
  lastEventId: string;
}
