"""What the examples of the documentation take from the project of their reader."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from rest_framework.permissions import BasePermission

from adrf_sse.views import AsyncSSEAPIView
from tests.project.orders.models import Conversation, Order
from tests.project.orders.views import OrderSerializer

__all__ = [
    "Chat",
    "Conversation",
    "Order",
    "OrderSerializer",
    "OwnsOrder",
    "Ticker",
    "job",
    "model",
    "news",
    "planets",
    "prices",
    "weather",
]


@dataclass(frozen=True)
class Price:
    id: int
    eur: float


@dataclass(frozen=True)
class Planet:
    name: str
    moons: int


async def prices(since: str | None = None) -> AsyncIterator[Price]:
    for price in (Price(1, 1.5), Price(2, 1.25)):
        if price.id > int(since or 0):
            yield price


async def planets() -> AsyncIterator[tuple[int, Planet]]:
    yield 1, Planet("Mercury", 0)
    yield 2, Planet("Venus", 0)


async def job(data: Any) -> AsyncIterator[int]:
    yield 50
    yield 100


async def model(prompt: str) -> AsyncIterator[str]:
    """Answer with the words of the prompt."""
    for word in prompt.split():
        yield word


async def news(queue: "asyncio.Queue[Any]") -> None:
    await queue.put(("news", "Nothing new"))


async def weather(queue: "asyncio.Queue[Any]") -> None:
    await queue.put(("weather", "Sun"))


class OwnsOrder(BasePermission):
    def has_object_permission(self, request: Any, view: Any, obj: Any) -> bool:
        return obj.user_id == request.user.pk


class Ticker(AsyncSSEAPIView):
    async def get(self, request: Any) -> AsyncIterator[Any]:
        yield "tick", 1


class Chat(AsyncSSEAPIView):
    async def get(self, request: Any) -> AsyncIterator[Any]:
        yield "token", "a"
