"""The drf-spectacular schema class of runs: the three requests of a ``RunView``."""

from collections.abc import Iterator
from typing import Any

from rest_framework import status
from rest_framework.renderers import BrowsableAPIRenderer

try:
    from drf_spectacular.settings import spectacular_settings
    from drf_spectacular.types import OpenApiTypes
    from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
except ImportError as exc:
    raise ImportError(
        "adrf_sse.openapi needs drf-spectacular, which is not installed. Run: pip install 'adrf-sse[openapi]'"
    ) from exc

from adrf_sse.events.event import END_EVENT
from adrf_sse.openapi.descriptions import (
    ERROR_DATA,
    RUN_END_DATA,
    EventDescription,
    end_event_description,
    run_state,
)
from adrf_sse.openapi.operations import error_responses, is_sequential
from adrf_sse.openapi.schema import EventStreamSchema, StreamResponses

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Names the request: if it is sent again with its key, the response follows the run that it started.",
)
LOCATION = OpenApiParameter(
    "Location",
    OpenApiTypes.URI_REF,
    OpenApiParameter.HEADER,
    description="The path of the run.",
    response=[status.HTTP_200_OK, status.HTTP_202_ACCEPTED, status.HTTP_409_CONFLICT],
)

_METHODS = {True: ("GET", "DELETE"), False: ("POST",)}
"""The methods of a route with a run's ID, and of one without."""


class RunSchema(EventStreamSchema):
    """Describe how clients start, follow and stop the runs of a ``RunView``."""

    @property
    def streams(self) -> bool:
        """Whether the current operation streams."""
        return self.method in ("GET", "POST") and isinstance(self.get_response_serializers(), StreamResponses)

    def is_excluded(self) -> bool:
        """Return whether the route does not have the method: each of the view's two routes has some of its methods."""
        methods = _METHODS["{run_id}" in self.path]
        return (self.method in ("GET", "POST", "DELETE") and self.method not in methods) or super().is_excluded()

    def get_override_parameters(self) -> list[Any]:
        """Add the headers of the request that starts a run, and of its response."""
        parameters = super().get_override_parameters()
        return [*parameters, IDEMPOTENCY_KEY, LOCATION] if self.method == "POST" and self.streams else parameters

    def get_response_serializers(self) -> Any:
        """Return the stream, the state in each format that has no streams, and the responses that may replace them."""
        if self.method == "GET":
            states, code = self._states(status.HTTP_200_OK, "The state of the run."), status.HTTP_204_NO_CONTENT
            return self._responses(states | {code: OpenApiResponse(None, "The client has read the run to its end.")})
        if self.method == "POST":
            return self._responses(self._states(status.HTTP_202_ACCEPTED, "The run has started, and is not followed."))
        if self.method == "DELETE":
            stopped = OpenApiResponse(None, "The run has been stopped, or had ended before.")
            return {status.HTTP_204_NO_CONTENT: stopped} | self._errors()
        return super().get_response_serializers()

    def _responses(self, others: dict[Any, Any]) -> StreamResponses:
        return StreamResponses(self._stream_responses() | others)

    def _states(self, code: int, description: str) -> dict[Any, Any]:
        """Return the state in each format of the view that has no streams."""
        state = run_state(spectacular_settings.OAS_VERSION)
        media_types = [
            (each.media_type or "").partition(";")[0]
            for each in self.view.get_renderers()
            if not is_sequential(each) and not isinstance(each, BrowsableAPIRenderer)
        ]
        return {(code, media_type): OpenApiResponse(dict(state), description) for media_type in media_types}

    def _error_responses(self) -> Iterator[tuple[int, str]]:
        yield from error_responses(self.view, self.path, self.method)
        if "{run_id}" in self.path:
            yield status.HTTP_404_NOT_FOUND, "The run does not exist, no longer exists, or belongs to another user."
        else:
            yield status.HTTP_409_CONFLICT, "A run with the ID that the view has chosen is active."
            yield status.HTTP_503_SERVICE_UNAVAILABLE, "Too many runs are active, or the broker is not available."

    def _lists(self) -> bool:
        return False

    def _added(self, envelope: bool) -> Iterator[EventDescription]:
        view: Any = self.view
        end_event = view.end_event
        yield EventDescription(END_EVENT, RUN_END_DATA) if end_event is None else end_event_description(end_event)
        yield EventDescription(view.error_event, ERROR_DATA)

    def _end_response(self) -> dict[Any, Any]:
        return {}  # described for each method
