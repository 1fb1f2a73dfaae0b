"""``manage.py sse_publish``: publish an event from the command line."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from adrf_sse.brokers import get_broker
from adrf_sse.channels import publish
from adrf_sse.exceptions import BrokerUnavailable


class Command(BaseCommand):
    """Publish one event."""

    help = "Publish an event to a channel, and print its id."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what ``publish()`` takes."""
        parser.add_argument("channel", help="the channel's name")
        parser.add_argument("data", help="the event's data, as text; put -- before one that starts with -")
        parser.add_argument("--event", help="the event's name")
        parser.add_argument("--json", action="store_true", help="read DATA as JSON")

    def handle(self, *args: Any, channel: str, data: str, event: str | None, json: bool, **options: Any) -> str:
        """Publish, and return the id, which is then printed."""
        if get_broker().process_local:
            self.stderr.write(
                "The broker reaches only this process. Configure RedisBroker to reach a server's streams."
            )
        try:
            return str(publish(channel, _parsed(data) if json else data, event=event))
        except (TypeError, ValueError, BrokerUnavailable) as exc:
            raise CommandError(str(exc)) from exc


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise CommandError(f"DATA must be JSON with --json, got {text!r}: {exc}. Quote it for the shell.") from exc
