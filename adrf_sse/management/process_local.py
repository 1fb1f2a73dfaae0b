"""What commands say if the broker delivers in one process only, which is then their own."""

from django.core.management.base import BaseCommand

from adrf_sse.brokers import get_broker


def hint_if_process_local(command: BaseCommand, purpose: str) -> None:
    """Write to a command's standard error which broker serves its purpose, if the configured one does not."""
    if get_broker().process_local:
        command.stderr.write(
            f"The broker reaches only this process. Configure PostgresBroker or RedisBroker to {purpose}."
        )
