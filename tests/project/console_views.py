"""The views for tests of the console."""

import asyncio
from pathlib import Path

from adrf.generics import GenericAPIView
from adrf.views import APIView
from adrf.viewsets import ViewSet
from django.contrib.auth.models import User
from django.http import StreamingHttpResponse
from django.urls import include, path
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView as SyncAPIView

from adrf_sse import ServerSentEvent
from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer
from adrf_sse.views import AsyncSSEAPIView, EventStreamMixin

RENDERERS = [EventStreamRenderer, EventStreamConsoleRenderer]
FLOOD = 3000
EVIL = '</script><img src=x onerror="window.hacked = true"><script>window.hacked = true</script>'
TORN = (
    b"\xef\xbb\xbf: by hand\ndata: one\r\ndata: two\r\rdata\n\ndata:\ndata:\n\ndata:  space\nid: 1\n\n"
    b"event: named\nid: no\x00pe\ndata: \xc3\xa9\xe2\x80\xa8\n\nevent: nothing\nid: 2\n\nretry: 5x\nfield: ignored\n"
    b"data: three\nretry: 600000\n\ndata: bad \xff utf-8\nid\n\ndata: lost"
)
"""A stream that covers every rule of the specification's parsing algorithm."""


class Alice(BaseAuthentication):
    def authenticate(self, request):
        return User(username="alice"), None


class CsrfForEveryone(SessionAuthentication):
    """Require the CSRF token from anonymous clients as well, so that no test needs a session."""

    def authenticate(self, request):
        self.enforce_csrf(request)


class Console(AsyncSSEAPIView):
    renderer_classes = RENDERERS
    authentication_classes = []


async def prices():
    for number in range(1, 4):
        yield (
            "price",
            {"eur": number, "what": f"Thing {number}", "sizes": ["S", "M", "L"], "origin": {"country": "NL"}},
            number,
        )
    yield "short", {"eur": 1}
    yield ServerSentEvent("[12345678901234567890, 1.0, {}, []]", event="exact")
    yield ServerSentEvent(comment="half time")
    yield "just text"
    yield "error", {"detail": "A server error occurred.", "code": "error"}
    await asyncio.Event().wait()


class Prices(Console):
    """Prices of imaginary things."""

    async def get(self, request):
        async for event in prices():
            yield event


class Gated(Console):
    """Send ``?first=`` events, and ``?second=`` more after the test has written to the named pipe ``?gate=``."""

    async def get(self, request):
        for number in range(int(request.GET["first"])):
            yield ("even", "odd")[number % 2], number
        await asyncio.to_thread(Path(request.GET["gate"]).read_bytes)
        for number in range(int(request.GET["second"])):
            yield ("even", "odd")[number % 2], 1000 + number
        await asyncio.Event().wait()


class Evil(Console):
    async def get(self, request):
        yield ServerSentEvent({"a": EVIL}, event=EVIL, id=EVIL, comment=EVIL)
        yield EVIL
        await asyncio.Event().wait()


class EvilRefusal(Console):
    async def get(self, request):
        raise PermissionDenied({"reason": EVIL, "others": [EVIL]})
        yield


class Members(Console):
    authentication_classes = [SessionAuthentication]
    permission_classes = [IsAuthenticated]

    async def get(self, request):
        yield "unreachable"


class Resumed(Console):
    """Resume after the last event id, and end after two events; the third stream stays open."""

    retry = 1

    async def get(self, request):
        start = int(self.last_event_id or 0)
        for number in range(start + 1, start + 3):
            yield "number", number, number
        if start >= 4:
            await asyncio.Event().wait()


class Finite(Console):
    finite = True
    retry = 1

    async def get(self, request):
        yield "tick", 1
        yield "tick", 2


class Flood(Console):
    """Send a thousand events per second for three seconds."""

    async def get(self, request):
        for number in range(FLOOD):
            yield ("price", "stock")[number % 2], {"number": number, "what": "x" * 60, "more": {"a": [1, 2]}}, number
            if number % 20 == 19:
                await asyncio.sleep(0.02)
        await asyncio.Event().wait()


class Torn(Console):
    """Send each byte as a separate chunk, without the package, which refuses parts of frames."""

    async def get(self, request):
        if request.accepted_renderer.format == EventStreamRenderer.format:
            return StreamingHttpResponse(self.bytes(), content_type="text/event-stream")
        return self.bytes()

    async def bytes(self):
        for byte in TORN:
            yield bytes([byte])
            await asyncio.sleep(0.001)


class Question(serializers.Serializer):
    text = serializers.CharField()
    times = serializers.IntegerField(min_value=1)


class Ask(EventStreamMixin, GenericAPIView):
    """Answer a question several times."""

    renderer_classes = RENDERERS
    authentication_classes = [CsrfForEveryone]
    serializer_class = Question

    async def post(self, request):
        question = Question(data=request.data)
        question.is_valid(raise_exception=True)
        for number in range(question.validated_data["times"]):
            yield "answer", {"text": question.validated_data["text"], "number": number}


class Chat(Console):
    """Stream on GET and respond with data to POST."""

    async def get(self, request):
        yield "hello", "there"
        await asyncio.Event().wait()

    async def post(self, request):
        return Response({"posted": request.data}, status=201)


class Things(EventStreamMixin, ViewSet):
    """A viewset whose user is always alice."""

    authentication_classes = [Alice]
    renderer_classes = RENDERERS

    async def list(self, request):
        yield "thing", request.user.get_username()
        await asyncio.Event().wait()

    @action(detail=False)
    async def others(self, request):
        yield "other"


class Stock(APIView):
    renderer_classes = RENDERERS
    authentication_classes = []

    async def get(self, request):
        return Response(prices())


class StockSync(SyncAPIView):
    renderer_classes = RENDERERS
    authentication_classes = []

    def get(self, request):
        return Response(iter(["one", "two"]))


router = SimpleRouter()
router.register("things", Things, basename="thing")

urlpatterns = [
    path("prices/", Prices.as_view()),
    path("gated/", Gated.as_view()),
    path("evil/", Evil.as_view()),
    path("evil-refusal/", EvilRefusal.as_view()),
    path("members/", Members.as_view()),
    path("resumed/", Resumed.as_view()),
    path("finite/", Finite.as_view()),
    path("flood/", Flood.as_view()),
    path("torn/", Torn.as_view()),
    path("ask/", Ask.as_view()),
    path("chat/", Chat.as_view()),
    *router.urls,
    path("stock/", Stock.as_view()),
    path("stock-sync/", StockSync.as_view()),
    path("api-auth/", include("rest_framework.urls")),
]
