"""An event stream interpreted step by step, as the specification says it (WHATWG HTML, section 9.2.6).

It is slow and shares no code with the package, so that the two can be compared.
"""

import json
from dataclasses import dataclass, field
from typing import Any

DIGITS = "0123456789"


@dataclass
class Stream:
    """Hold what a client knows after it has read a stream."""

    events: list[tuple[str, str, str]] = field(default_factory=list)
    """Type, data and last event ID of each event that was dispatched."""
    last_event_id: str = ""
    retry: int | None = None
    _data: str = ""
    _type: str = ""
    _last_id: str = ""

    def dispatch(self) -> None:
        """Dispatch the event, as an empty line does."""
        self.last_event_id = self._last_id
        data, event_type = self._data, self._type
        self._data, self._type = "", ""
        if data == "":
            return
        if data[-1] == "\n":
            data = data[:-1]
        self.events.append((event_type or "message", data, self._last_id))

    def process(self, name: str, value: str) -> None:
        """Process a field."""
        if name == "event":
            self._type = value
        elif name == "data":
            self._data = self._data + value + "\n"
        elif name == "id" and "\0" not in value:
            self._last_id = value
        elif name == "retry" and value != "" and all(character in DIGITS for character in value):
            self.retry = int(value)


def interpret(body: bytes) -> Stream:
    """Interpret a whole stream. What follows the last empty line is discarded."""
    text, stream = body.decode("utf-8", "replace"), Stream()
    if text[:1] == "\ufeff":
        text = text[1:]
    for line in lines(text):
        if line == "":
            stream.dispatch()
        elif line[0] != ":":
            stream.process(*field_of(line))
    return stream


def field_of(line: str) -> tuple[str, str]:
    """Return the name and the value of a line that is not empty and no comment."""
    for index, character in enumerate(line):
        if character == ":":
            value = line[index + 1 :]
            return line[:index], value[1:] if value[:1] == " " else value
    return line, ""


def lines(text: str) -> list[str]:
    """Return the lines that a CRLF, a LF or a CR ends."""
    found, line, index = [], "", 0
    while index < len(text):
        character = text[index]
        if character == "\r" and text[index + 1 : index + 2] == "\n":
            index += 1
        if character in "\r\n":
            found.append(line)
            line = ""
        else:
            line += character
        index += 1
    return found


def json_lines(body: bytes) -> list[Any]:
    """Return the values of JSON Lines: each line ends in a LF, and is one JSON value in UTF-8."""
    if body and body[-1:] != b"\n":
        raise ValueError("the last line does not end in a line feed")
    values = [json.loads(line.decode()) for line in body.split(b"\n")[:-1]]
    if len(body.decode().splitlines()) != len(values):
        raise ValueError("a reader of lines would break a line in two")
    return values
