"""What other programs write to the keys and channels of the broker in Redis: it is skipped, and named in the log."""

import re

from adrf_sse.brokers.messages import ChannelEvent
from adrf_sse.logs import about, logger

_NUMBER = re.compile(rb"[0-9]{1,16}")
_BODY = re.compile(rb"(?:!?[jt]|[JT][!-~]*\n)(?:event: [^\r\n\0]+\n)?(?:data:(?: [^\r\n]*)?\n)+\n")


class ForeignEntry(ChannelEvent):
    """Stand for an entry of a history that the broker has not written, until the entry is skipped."""

    __slots__ = ()

    def __init__(self, channel: str, number: int) -> None:
        super().__init__(channel, number, b"t")


class ForeignData:
    """Recognize what the broker has not written, and log each kind of it once."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def event(self, channel: str, number: bytes, body: bytes) -> ChannelEvent | None:
        """Return an event, or ``None`` if the broker writes no such event."""
        if _NUMBER.fullmatch(number) and _BODY.fullmatch(body):
            event = ChannelEvent(channel, int(number), body)
            try:
                event.frame.decode()
                _ = event.data
            except (ValueError, RecursionError):
                pass
            else:
                return event
        self.log(channel, "is not an event")
        return None

    def entry(self, channel: str, number: int, body: bytes) -> ChannelEvent:
        """Return an entry of a channel's history as an event, or as a ``ForeignEntry``."""
        return self.event(channel, b"%d" % number, body) or ForeignEntry(channel, number)

    def log(self, channel: str, problem: str) -> None:
        """Log that a channel contains foreign data, unless the same problem was logged before."""
        if problem in self._logged:
            return
        self._logged.add(problem)
        logger.warning(
            "The channel %s in Redis must contain only what publish() writes, got data that %s. It is skipped, and not "
            "logged again. Check which other program writes to this Redis, or give each project a prefix of its own.",
            channel,
            problem,
            extra=about(None),
        )
