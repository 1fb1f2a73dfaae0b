"""The check of the broker's tables, which Django runs with the checks of databases."""

from collections.abc import Collection
from typing import Any

from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from adrf_sse.brokers import get_broker
from adrf_sse.checks.project import AppConfigs
from adrf_sse.documentation import page
from adrf_sse.exceptions import BrokerUnavailable


def check_tables(
    app_configs: AppConfigs, databases: Collection[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Warn if the tables of the broker are missing. An error would prevent ``migrate`` from creating them."""
    try:
        broker = get_broker()
    except ImproperlyConfigured:
        return []  # Other checks report this error.
    if not any(map(broker.joins_transaction, databases or ())):
        return []
    try:
        broker.position()
    except BrokerUnavailable as exc:
        hint = f"Publishing fails until then. {page('brokers/postgresql')} lists what the broker needs."
        return [checks.Warning(str(exc), hint=hint, id="adrf_sse.W007")]
    return []
