"""JSON as a Django REST Framework renderer writes it, at a fraction of the cost for each value."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from rest_framework.compat import LONG_SEPARATORS, SHORT_SEPARATORS
from rest_framework.renderers import BaseRenderer, JSONRenderer

JSONEncode = Callable[[Any], bytes]


def json_encoder(renderer_class: type[BaseRenderer]) -> JSONEncode:
    """Return a function that gives the bytes ``renderer_class().render(data)`` would give.

    ``None`` becomes ``null``, where a renderer gives an empty body. A renderer with a ``render`` of its own is asked
    for each value; the JSON renderer's own encoder is built once and shared.
    """
    if issubclass(renderer_class, JSONRenderer) and _renders_like_drf(renderer_class):
        cls: Any = renderer_class
        return _drf_encoder(cls.encoder_class, cls.ensure_ascii, cls.compact, cls.strict)
    return _rendered_by(renderer_class())


def default_json_encoder() -> JSONEncode:
    """Return the encoder of REST framework's own ``JSONRenderer``."""
    return json_encoder(JSONRenderer)


def _renders_like_drf(renderer_class: type[JSONRenderer]) -> bool:
    return renderer_class.render is JSONRenderer.render and renderer_class.get_indent is JSONRenderer.get_indent


@lru_cache(maxsize=32)
def _drf_encoder(encoder_class: type[Any], ensure_ascii: bool, compact: bool, strict: bool) -> JSONEncode:
    encode: Callable[[Any], str] = encoder_class(
        ensure_ascii=ensure_ascii,
        allow_nan=not strict,
        separators=SHORT_SEPARATORS if compact else LONG_SEPARATORS,
    ).encode

    def to_ascii(data: Any) -> bytes:
        return encode(data).encode("ascii")

    def to_utf8(data: Any) -> bytes:
        written = encode(data)
        if not written.isascii():
            # The renderer escapes these two as well: they end a line in JavaScript before ES2019.
            written = written.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        return written.encode()

    return to_ascii if ensure_ascii else to_utf8


def _rendered_by(renderer: BaseRenderer) -> JSONEncode:
    def to_json(data: Any) -> bytes:
        written = renderer.render(data, renderer.media_type, {})
        if data is None and not written:
            return b"null"
        return written.encode() if isinstance(written, str) else bytes(written)

    return to_json
