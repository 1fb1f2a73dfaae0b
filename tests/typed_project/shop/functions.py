"""Functions that ``@event_stream`` turns into views."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.parsers import JSONParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import UserRateThrottle

from adrf_sse.channels import Subscription, subscribe
from adrf_sse.decorators import (
    authentication_classes,
    event_stream,
    parser_classes,
    permission_classes,
    renderer_classes,
    schema,
    throttle_classes,
)
from adrf_sse.renderers import EventStreamRenderer, NDJSONRenderer
from adrf_sse.views import last_event_id
from shop.prices import Price, prices, stored_prices


@event_stream
async def alone(request: Request) -> AsyncIterator[str]:
    yield last_event_id(request) or "the beginning"


@event_stream
def synchronous(request: Request) -> Iterator[Price]:
    yield from stored_prices()


@event_stream(methods=["GET", "POST"], heartbeat=5, finite=True)
async def with_numbers(request: Request, pk: int) -> AsyncGenerator[tuple[str, dict[str, int]], None]:
    yield "progress", {"percent": pk}


@event_stream(
    methods=("POST",),
    heartbeat=timedelta(seconds=5),
    retry=timedelta(seconds=1),
    first_event_timeout=0,
    max_duration=timedelta(hours=1),
    send_timeout=None,
    reauthorize_interval=timedelta(minutes=1),
    end_event=("complete", ""),
    error_event="failure",
    wants_stream=lambda request: request.query_params.get("stream") == "1",
    format_error=lambda exc: {"error": type(exc).__name__},
    compress=True,
    event_serializers={
        "closed": serializers.CharField(),
        "history": serializers.ListField(child=serializers.CharField()),
    },
    serializer_class=serializers.JSONField,
)
async def with_every_option(request: Request) -> AsyncIterator[object]:
    yield request.data


@event_stream
@permission_classes([IsAuthenticated])
async def with_a_policy(request: Request) -> AsyncIterator[str]:
    yield "for you"


@event_stream(heartbeat=5)
@authentication_classes([SessionAuthentication])
@permission_classes([IsAuthenticated])
@throttle_classes([UserRateThrottle])
@schema(None)
@parser_classes([JSONParser])
@renderer_classes([EventStreamRenderer, NDJSONRenderer])
async def with_all_policies(request: Request, *, pk: int) -> AsyncIterator[int]:
    yield pk


@event_stream
async def a_source(request: Request) -> AsyncIterator[Price]:
    return prices()


@event_stream
async def a_subscription(request: Request) -> Subscription:
    return subscribe("news", last_event_id=last_event_id(request))


@event_stream
async def a_response(request: Request) -> Response:
    return Response(prices())


@event_stream
async def a_source_or_a_response(request: Request) -> AsyncIterator[Price] | HttpResponseBase:
    return prices() if request.data else Response({"detail": "Nothing is there."}, status=400)


@event_stream
@asynccontextmanager
async def a_manager(request: Request) -> AsyncGenerator[AsyncIterator[Price], None]:
    yield prices()
