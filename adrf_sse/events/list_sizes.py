"""The memory that a list of events takes while a renderer renders it, estimated from the JSON of its events.

Python's objects take far more memory than their JSON: an empty list takes 64 bytes, and two characters of JSON. So
the size of the JSON says little. The weights below are the bytes that each part of JSON stands for at most, in CPython
on a 64-bit machine: its object, its place in the list or dict around it, and its text while it is rendered. Characters
inside strings count as if they were parts of the JSON, so the estimate is too high rather than too low.
"""

_WEIGHTS = {
    b"\n": 64,  # an event's place in the list, and its separator
    b"[": 128,  # a list with up to four elements
    b"{": 208,  # a dict with up to five keys
    b",": 48,  # the place of one more element or key
    b":": 16,
    b'"': 72,  # half a string: a string has two
}
_NUMBER = 96

_DIGITS = bytes.maketrans(b"-123456789", b"0000000000")
"""Makes each beginning of a number a zero."""
_STARTS = (b"[0", b",0", b":0", b"\n0")

_BRACKETS = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))
_DEPTH = 32
"""Levels that are looked for; an event that is deeper, or has brackets in strings, counts as if it were far deeper."""

_COPIES = 4
"""Copies of a text besides its JSON: the string, the same while it is rendered, the whole text, and its bytes."""
_WIDE = 4
"""Bytes of each character of a string that contains an emoji, even if all others are ASCII."""


def rendered_size(lines: bytes, indent: int = 0) -> int:
    """Return how many bytes a list takes at most while it is parsed and rendered, for lines that are its events.

    ``indent`` is the number of characters by which the renderer indents each level.
    """
    parts = sum(weight * lines.count(part) for part, weight in _WEIGHTS.items()) + _NUMBER * _numbers(lines)
    copies = _COPIES * (1 if lines.isascii() and b"\\u" not in lines else _WIDE)
    text = len(lines) * (1 + copies)
    return parts + text + (sum(map(_indentations, lines.splitlines())) * indent * copies if indent else 0)


def _numbers(lines: bytes) -> int:
    """Return how many numbers the lines have at most."""
    text = b"\n" + lines.translate(_DIGITS, b" ")
    return sum(map(text.count, _STARTS))


def _indentations(line: bytes) -> int:
    """Return how many indentations an event has at most."""
    brackets = line.translate(_BRACKETS, _OTHERS)
    breaks = len(brackets) + 2 + line.count(b",")
    depth = 1  # in the list of events
    while brackets and depth < _DEPTH:
        brackets = brackets.replace(b"[]", b"")
        depth += 1
    return breaks * (depth + len(brackets))
