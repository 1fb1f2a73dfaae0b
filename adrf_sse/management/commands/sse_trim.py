"""``manage.py sse_trim``: delete at once what a broker no longer has to keep."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from adrf_sse.brokers import get_broker
from adrf_sse.exceptions import BrokerUnavailable


class Command(BaseCommand):
    """Delete the events that are too old or too many, and the runs that have expired."""

    help = (
        "Deletes events beyond CHANNEL_HISTORY and CHANNEL_TTL, and expired runs. Brokers also do so little by little."
    )

    def handle(self, *args: Any, **options: Any) -> str:
        """Trim, and return what was deleted, which Django prints."""
        broker = get_broker()
        try:
            trimmed = broker.trim()
        except BrokerUnavailable as exc:
            raise CommandError(str(exc)) from exc
        if trimmed is None:
            return f"{type(broker).__name__} always deletes old events itself. There is nothing to do."
        return f"Deleted {trimmed.events} events of channels, and {trimmed.runs} events and records of expired runs."
