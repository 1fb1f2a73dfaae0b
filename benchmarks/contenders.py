"""Who is compared."""

from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Name one way to stream, and the ASGI application that does it."""

    name: str
    module: str
    """Module of ``benchmarks.apps``, whose ``application`` is served."""
    needs: tuple[str, ...] = ()
    """Modules that have to be installed."""
    crowd: bool = False
    """Also hold the largest number of idle streams."""
    note: str = ""
    """What a reader of its figures should know."""

    @property
    def missing(self) -> str | None:
        """The first module that is not installed."""
        return next((module for module in self.needs if find_spec(module) is None), None)


BASELINE = "raw ASGI"

CONTENDERS = (
    Contender(name=BASELINE, module="raw", crowd=True, note="one `send` for each event"),
    Contender(name="adrf_sse, async view", module="sse_view", crowd=True),
    Contender(name="adrf_sse, async view, orjson", module="sse_orjson", needs=("orjson",)),
    Contender(
        name="adrf_sse, renderer only",
        module="sse_renderer",
        note="an unmodified adrf view with `EventStreamRenderer` in `renderer_classes`",
    ),
    Contender(name="plain Django", module="plain_django", note="a `StreamingHttpResponse` of an async generator"),
    Contender(
        name="adrf, StreamingHttpResponse", module="plain_adrf", note="returned by the view, so that it is not rendered"
    ),
    Contender(name="django-flosse", module="flosse", needs=("django_flosse",)),
    Contender(
        name="django-eventstream",
        module="eventstream",
        needs=("django_eventstream",),
        note="one channel for each stream, no storage; it keeps 10 events for a stream and drops the rest, so its "
        "publisher waits where 10 are pending",
    ),
    Contender(name="sse-starlette", module="starlette_sse", needs=("sse_starlette",)),
    Contender(name="FastAPI", module="fastapi_sse", needs=("fastapi",), note="`EventSourceResponse` of `fastapi.sse`"),
)
