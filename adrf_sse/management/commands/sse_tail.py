"""``manage.py sse_tail``: print what is published, as it comes."""

import asyncio
import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from adrf_sse.brokers import get_broker
from adrf_sse.channels import subscribe
from adrf_sse.channels.subscription import Subscription
from adrf_sse.events.event import ServerSentEvent


class Command(BaseCommand):
    """Print the events of some channels, until interrupted."""

    help = "Print the events of channels as they come: id, name and data, a line each. End it with Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what ``subscribe()`` takes."""
        parser.add_argument("channels", nargs="+", metavar="CHANNEL", help="a channel's name")
        parser.add_argument("--last-event-id", metavar="N", help="begin with what history has after this id")

    def handle(self, *args: Any, channels: list[str], last_event_id: str | None, **options: Any) -> None:
        """Print until interrupted."""
        if get_broker().process_local:
            self.stderr.write("The broker hears only this process. Configure RedisBroker to hear a server's.")
        try:
            subscription = subscribe(*channels, last_event_id=last_event_id)
        except (TypeError, ValueError) as exc:
            raise CommandError(str(exc)) from exc
        try:
            asyncio.run(self._print(subscription))
        except KeyboardInterrupt:
            pass
        except BrokenPipeError:
            # Whoever read has left. Python would complain of it once more when it flushes at its exit.
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
    """Return text that moves nothing on a terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
