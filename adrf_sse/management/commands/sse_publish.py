"""``manage.py sse_publish``: publish an event from the command line."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from adrf_sse.channels import publish
from adrf_sse.exceptions import BrokerUnavailable
from adrf_sse.management.process_local import hint_if_process_local


class Command(BaseCommand):
    """Publish an event to a channel."""

    help = "Publishes an event to a channel and prints the event's ID."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the arguments of ``publish()``."""
        parser.add_argument("channel", help="Name of the channel.")
        parser.add_argument("data", help="Data of the event, as text. Put -- before data that starts with -.")
        parser.add_argument("--event", help="Name of the event.")
        parser.add_argument("--json", action="store_true", help="Parse DATA as JSON.")

    def handle(self, *args: Any, channel: str, data: str, event: str | None, json: bool, **options: Any) -> str:
        """Publish the event and return its ID, which Django prints."""
        hint_if_process_local(self, "reach the streams of a server")
        try:
            return str(publish(channel, _parsed(data) if json else data, event=event))
        except (TypeError, ValueError, BrokerUnavailable) as exc:
            raise CommandError(str(exc)) from exc


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise CommandError(f"DATA must be JSON with --json, got {text!r}: {exc}. Quote it for the shell.") from exc
