"""Views that declare serializers for their events."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from adrf_sse.views import AsyncSSEAPIView
from shop.prices import prices


class PriceSerializer(serializers.Serializer[Any]):
    eur = serializers.DecimalField(max_digits=8, decimal_places=2)


class Prices(AsyncSSEAPIView):
    event_serializers = {
        "price": PriceSerializer,
        "history": PriceSerializer(many=True),
        "closed": serializers.CharField(),
        "any": serializers.JSONField,
    }

    async def get(self, request: Request) -> AsyncIterator[tuple[str, object]]:
        async for price in prices():
            yield "price", price
        yield "history", [{"eur": Decimal(1)}]
        yield "closed", "See you tomorrow."


class Unnamed(AsyncSSEAPIView):
    serializer_class = PriceSerializer

    async def get(self, request: Request) -> AsyncIterator[object]:
        async for price in prices():
            yield price
