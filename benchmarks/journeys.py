"""Which functions of the package an event passes through on its way to a client: ``python -m benchmarks.journeys``.

A function counts once, however often the event passes through it. Comprehensions, generator expressions and lambdas are
functions of their own unless Python inlines them; methods that ``dataclass`` generates are not in the package's files
and do not count.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from types import FrameType

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path

settings.configure(
    SECRET_KEY="journeys",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["rest_framework", "adrf_sse"],
    REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None},
)

import adrf_sse  # noqa: E402
from adrf_sse.channels import publish  # noqa: E402
from adrf_sse.views import AsyncSSEAPIView, ChannelStreamView  # noqa: E402

FOLDER = os.path.join(os.path.dirname(adrf_sse.__file__), "")

EVENTS = 4
"""Events of a stream; the last one is reported, because the first ones also import modules and fill caches."""

PAUSE = 0.1
"""Seconds before each event, so that the stream is idle when it is made."""

PATIENCE = 10
"""Seconds that an event may take."""


class Journey:
    """Record the package's functions that run in the event loop between a start and a stop."""

    def __init__(self) -> None:
        self.functions: dict[int, tuple[str, str]] = {}
        """Modules and names of the functions in the order of their first calls, by the ids of their code."""

    def start(self) -> None:
        """Forget the functions of the event before, and record those that wait for this one and those that follow."""
        self.functions = {}
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            self._record(frame)
            frame = frame.f_back
        sys.setprofile(self._profile)

    def stop(self) -> None:
        """Stop recording."""
        sys.setprofile(None)

    def _profile(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            self._record(frame)

    def _record(self, frame: FrameType) -> None:
        if frame.f_code.co_filename.startswith(FOLDER):
            self.functions.setdefault(id(frame.f_code), (frame.f_globals["__name__"], frame.f_code.co_qualname))

    def __str__(self) -> str:
        modules = {module for module, _ in self.functions.values()}
        names = [f"  {module}:{name}" for module, name in self.functions.values()]
        return "\n".join([*names, f"{len(names)} functions in {len(modules)} modules"])


journey = Journey()
due = asyncio.Event()


class GeneratorView(AsyncSSEAPIView):
    """Yield an event whenever one is due."""

    async def get(self, request):
        while await due.wait():
            due.clear()
            journey.start()
            yield "price", {"eur": 1}


class PricesView(ChannelStreamView):
    """Stream the channel."""

    def get_channels(self):
        return ["prices"]


def publish_price() -> None:
    """Publish an event."""
    journey.start()
    publish("prices", {"eur": 1}, event="price")


urlpatterns = [path("generator", GeneratorView.as_view()), path("channel", PricesView.as_view())]


class Exchange:
    """Receive and send as an ASGI server does for one request."""

    def __init__(self, path: str) -> None:
        self.scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
        self.gone = asyncio.Event()
        self.ready = asyncio.Event()
        """Set when a stream of channels is open."""
        self._arrived = asyncio.Semaphore(0)
        self._messages = iter([{"type": "http.request"}])

    async def receive(self) -> dict[str, str]:
        for message in self._messages:
            return message
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, bytes]) -> None:
        if b"event: ready" in message.get("body", b""):
            self.ready.set()
        if b"eur" in message.get("body", b""):
            journey.stop()
            self._arrived.release()

    async def event(self) -> None:
        """Wait for an event."""
        async with asyncio.timeout(PATIENCE):
            await self._arrived.acquire()


async def travel(path: str, make: Callable[[], object]) -> None:
    """Make events one by one for an open stream, and record the journey of each."""
    exchange = Exchange(path)
    response = asyncio.create_task(get_asgi_application()(exchange.scope, exchange.receive, exchange.send))
    if make is publish_price:
        await exchange.ready.wait()
    for _ in range(EVENTS):
        await asyncio.sleep(PAUSE)
        make()
        await exchange.event()
    exchange.gone.set()
    await response


def main() -> None:
    """Print the journeys."""
    asyncio.run(travel("/generator", due.set))
    print(f"An event of a generator, from its yield to the server's send:\n{journey}\n")
    asyncio.run(travel("/channel", publish_price))
    print(f"A published event, memory, from publish() to the server's send:\n{journey}")


if __name__ == "__main__":
    main()
