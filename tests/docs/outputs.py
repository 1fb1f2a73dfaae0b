"""What a page shows, compared with what really happens."""

import re

VARIABLE = re.compile(
    r"(?P<port>127\.0\.0\.1:8000)|(?P<value>\b\d{16}\b|\b[0-9a-f]{40}\b)|(?P<number>\[\d{5}\]|\b\d+\.\d+s\b)|(?P<rest>…)"
)


class Outputs:
    """Compare outputs. A line ``…`` of a page stands for any lines, and ``…`` in a line for any text.

    IDs and tokens differ each time. Each of the page stands for the first real one that was found in its place, and
    then always for this one.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._real: dict[str, str] = {}

    def real(self, text: str) -> str:
        """Return a text of a page, such as a command, with the real port, IDs and tokens."""
        for shown, real in self._real.items():
            text = text.replace(shown, real)
        return text.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")

    def matches(self, expected: str, shown: str) -> bool:
        """Return whether an output is what the page shows."""
        return re.fullmatch(self._pattern(expected), plain(shown)) is not None

    def compare(self, expected: str, shown: str, *, whole: bool = True) -> None:
        """Assert that an output is what the page shows, or contains it unless it is the ``whole``.

        If the page shows no output, there may be any.
        """
        if not expected:
            return
        compiled = re.compile(self._pattern(expected))
        found = compiled.fullmatch(plain(shown)) if whole else compiled.search(plain(shown))
        assert found, f"The page shows:\n{expected}\nReally, it is:\n{shown}"
        self._real |= {name.removeprefix("v"): value for name, value in found.groupdict().items()}

    def _pattern(self, expected: str) -> str:
        known: set[str] = set()
        return "".join(
            r"(?:.*\n)*?" if line == "…" else f"{self._line(line, known)}\n" for line in expected.splitlines()
        )

    def _line(self, line: str, known: set[str]) -> str:
        pattern, end = "", 0
        for found in VARIABLE.finditer(line):
            pattern += re.escape(line[end : found.start()]) + self._variable(found, known)
            end = found.end()
        return pattern + re.escape(line[end:])

    def _variable(self, found: re.Match[str], known: set[str]) -> str:
        text = found[0]
        if found["port"]:
            return f"127\\.0\\.0\\.1:{self.port}"
        if found["value"]:
            return self._value(text, known)
        return ".*" if found["rest"] else r"\[\d+\]" if text.startswith("[") else r"\d+\.\d+s"

    def _value(self, text: str, known: set[str]) -> str:
        if text in self._real:
            return re.escape(self._real[text])
        if text in known:
            return f"(?P=v{text})"
        known.add(text)
        return rf"(?P<v{text}>[0-9a-f]{{{len(text)}}})"


def plain(text: str) -> str:
    """Return an output with the line ends of a page."""
    return text.replace("\r", "")
