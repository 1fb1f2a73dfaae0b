"""``manage.py sse_disconnect``: end streams from the command line."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from adrf_sse.channels import disconnect
from adrf_sse.exceptions import BrokerUnavailable
from adrf_sse.management.process_local import hint_if_process_local


class Command(BaseCommand):
    """End the streams of a user, of a channel or of a view."""

    help = "Ends the streams that match all options, in every process that shares the broker."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the arguments of ``disconnect()``."""
        parser.add_argument("--user", metavar="PK", help="Primary key of the user who opened the streams.")
        parser.add_argument("--channel", metavar="NAME", help="Name of a channel that the streams are subscribed to.")
        parser.add_argument("--view", metavar="NAME", help="Name of the view, with its namespaces.")

    def handle(self, *args: Any, user: str | None, channel: str | None, view: str | None, **options: Any) -> str:
        """Ask all processes to end the streams, and return what was asked, which Django prints."""
        hint_if_process_local(self, "reach the streams of a server")
        given = {name: value for name, value in (("user", user), ("channel", channel), ("view", view)) if value}
        if not given:
            raise CommandError(
                "sse_disconnect must get --user, --channel or --view, got none. Say which streams to end."
            )
        try:
            disconnect(user=user or None, channel=channel or None, view=view or None)
        except (TypeError, ValueError, BrokerUnavailable) as exc:
            raise CommandError(str(exc)) from exc
        return f"Asked all processes to end the streams of {', '.join(f'{name} {given[name]}' for name in given)}."
