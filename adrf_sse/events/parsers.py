"""Incremental event stream parsers (WHATWG HTML, sections 9.2.5 and 9.2.6)."""

import re
from codecs import getincrementaldecoder

from adrf_sse.events.event import ServerSentEvent

_LINE_END = re.compile(r"\r\n|\r|\n")


class FrameParser:
    """Parse the chunks of an event stream into events.

    A chunk may end anywhere, even inside a character. Each event has only the fields of its own frame.
    """

    def __init__(self) -> None:
        self.retry: int | None = None
        """The reconnection delay in milliseconds that the stream set last; ``None`` until it sets one."""
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._at_start = True
        self._after_cr = False
        self._partial: list[str] = []
        self._data: list[str] = []
        self._event = ""
        self._id: str | None = None

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Return the events that this chunk completes. An event without an empty line at its end is never complete."""
        events = []
        for line in self._lines(self._decoder.decode(chunk)):
            if line:
                self._field(line)
            elif (event := self._dispatch()) is not None:
                events.append(event)
        return events

    def _lines(self, text: str) -> list[str]:
        text = self._without_lf(self._without_bom(text))
        *lines, rest = _LINE_END.split(text)
        if lines:
            lines[0] = "".join([*self._partial, lines[0]])
            self._partial = []
        if rest:
            self._partial.append(rest)
        return lines

    def _without_bom(self, text: str) -> str:
        if not self._at_start or not text:
            return text
        self._at_start = False
        return text.removeprefix("\ufeff")

    def _without_lf(self, text: str) -> str:
        """Remove the LF of a CRLF whose CR ended the previous chunk."""
        if not text:
            return text
        after_cr, self._after_cr = self._after_cr, text.endswith("\r")
        return text.removeprefix("\n") if after_cr else text

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit() and len(value) < 4300:  # int() rejects longer strings.
                self.retry = int(value)

    def _dispatch(self) -> ServerSentEvent | None:
        data, self._data = self._data, []
        name, self._event = self._event, ""
        id, self._id = self._id, None
        if not data:
            return None
        return ServerSentEvent.received("\n".join(data), event=name or None, id=id)


class EventParser(FrameParser):
    """Parse an event stream as an ``EventSource`` does: each event has the last ID that the stream has set so far."""

    def __init__(self) -> None:
        super().__init__()
        self.last_event_id: str | None = None
        """The ID that a client would send as ``Last-Event-ID`` now; ``None`` if it would send none."""

    def _dispatch(self) -> ServerSentEvent | None:
        if self._id is not None:
            self.last_event_id = self._id or None
        frame = super()._dispatch()
        return frame and ServerSentEvent.received(frame.data, event=frame.event, id=self.last_event_id)
