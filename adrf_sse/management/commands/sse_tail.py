"""``manage.py sse_tail``: print events when they are published."""

import asyncio
import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from adrf_sse.channels import subscribe
from adrf_sse.channels.subscription import Subscription
from adrf_sse.events.event import ServerSentEvent
from adrf_sse.management.process_local import hint_if_process_local


class Command(BaseCommand):
    """Print the events of channels until the user interrupts the command."""

    help = "Prints the events of channels as they are published, one per line: ID, name and data. Stop it with Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the arguments of ``subscribe()``."""
        parser.add_argument("channels", nargs="+", metavar="CHANNEL", help="Name of a channel.")
        parser.add_argument("--last-event-id", metavar="N", help="Start with the events after this ID.")

    def handle(self, *args: Any, channels: list[str], last_event_id: str | None, **options: Any) -> None:
        """Print events until the user interrupts the command."""
        hint_if_process_local(self, "receive the events of a server")
        try:
            subscription = subscribe(*channels, last_event_id=last_event_id)
        except (TypeError, ValueError) as exc:
            raise CommandError(str(exc)) from exc
        try:
            asyncio.run(self._print(subscription))
        except KeyboardInterrupt:
            pass
        except BrokenPipeError:
            # The reader closed the pipe. Python would report that again when it flushes stdout at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())

    async def _print(self, subscription: Subscription) -> None:
        async with subscription as events:
            async for event in events:
                self.stdout.write(_line(event))
                self.stdout.flush()


def _line(event: ServerSentEvent) -> str:
    text = [line.partition(b":")[2] for line in event.encode().split(b"\n") if line.startswith(b"data:")]
    data = b"\\n".join(line.removeprefix(b" ") for line in text).decode()
    return f"{event.id} {_visible(event.event or 'message')} {_visible(data)}"


def _visible(text: str) -> str:
    """Return text with escapes for characters that would control the terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
