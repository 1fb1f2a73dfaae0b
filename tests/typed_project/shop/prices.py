"""What the views stream."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from decimal import Decimal


@dataclass
class Price:
    id: int
    eur: Decimal


async def prices(since: str | None = None) -> AsyncIterator[Price]:
    for number in range(int(since or 0), 10):
        yield Price(number, Decimal(number))


def stored_prices() -> Iterator[Price]:
    yield Price(1, Decimal(1))
