"""Viewsets with the mixin in front of adrf's classes."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

from adrf.generics import GenericAPIView
from adrf.views import APIView
from adrf.viewsets import ModelViewSet, ViewSet
from django.contrib.auth.models import Group
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import DefaultRouter

from adrf_sse.decorators import action
from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.views import EventStreamMixin
from shop.prices import prices


class GroupSerializer(serializers.ModelSerializer[Group]):
    class Meta:  # pyright: ignore[reportIncompatibleVariableOverride]  (as in every project with these stubs)
        model = Group
        fields = ["id", "name"]


class Prices(EventStreamMixin, ViewSet):
    renderer_classes = [EventStreamRenderer]
    heartbeat = timedelta(seconds=5)

    async def list(self, request: Request) -> AsyncIterator[tuple[str, dict[str, str]]]:
        async for price in prices(since=self.last_event_id):
            yield "price", {"eur": str(price.eur)}

    def retrieve(self, request: Request, pk: str) -> Iterator[str]:
        yield pk

    @action(detail=False, methods=["get", "post"], url_path="live", heartbeat=2)
    async def live(self, request: Request) -> AsyncIterator[str]:
        yield "live"

    @action(detail=True)
    async def history(self, request: Request, pk: str) -> Response:
        return Response({"pk": pk})


class Groups(EventStreamMixin, ModelViewSet):
    queryset = Group.objects.all()
    serializer_class = GroupSerializer
    event_serializers = {"group": GroupSerializer}

    @action(detail=False, renderer_classes=[EventStreamRenderer])
    async def stream(self, request: Request) -> AsyncIterator[tuple[str, Group]]:
        async for group in Group.objects.all():
            yield "group", group


class Generic(EventStreamMixin, GenericAPIView):
    async def get(self, request: Request) -> AsyncIterator[str]:
        yield "generic"


class Existing(APIView):
    """A view with the renderer alone."""

    renderer_classes = [EventStreamRenderer]

    async def get(self, request: Request, *args: Any) -> Response:
        return Response(prices())


router = DefaultRouter()
router.register("prices", Prices, basename="price")
router.register("groups", Groups)
