"""Streams as one JSON list, for any JSON renderer of the project."""

from collections.abc import Callable
from functools import partial
from typing import Any

from rest_framework.renderers import BaseRenderer, JSONRenderer

from adrf_sse.events.json_encoders import value_encoder
from adrf_sse.events.list_sizes import rendered_size
from adrf_sse.events.wire_formats import WireFormat, json_list


def is_json(renderer: BaseRenderer) -> bool:
    """Return whether a renderer renders JSON."""
    return isinstance(renderer, JSONRenderer) or renderer.media_type == "application/json"


def list_format(renderer: BaseRenderer) -> WireFormat:
    """Return the format for the elements of the list that a JSON renderer renders.

    With ``envelope = False`` on the renderer's class, an element is an event's data alone, as in JSON Lines.
    """
    content_type = f"{renderer.media_type}; charset={renderer.charset}" if renderer.charset else renderer.media_type
    return json_list(
        value_encoder(type(renderer)), envelope=getattr(renderer, "envelope", True), content_type=content_type
    )


def list_measure(renderer: BaseRenderer, accepted_media_type: str | None) -> Callable[[bytes], int]:
    """Return a function that returns how much memory lines of JSON take at most, when a renderer renders them."""
    if not isinstance(renderer, JSONRenderer):
        return rendered_size
    indent: Any = renderer.get_indent(accepted_media_type or renderer.media_type, {})
    return partial(rendered_size, indent=len(indent) if isinstance(indent, str) else indent or 0)
