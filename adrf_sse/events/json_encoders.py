"""JSON encoders that produce the output of a REST framework renderer at a fraction of its cost per value."""

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any

from rest_framework.compat import LONG_SEPARATORS, SHORT_SEPARATORS
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.utils.encoders import JSONEncoder

from adrf_sse.events.fields import JSONEncode
from adrf_sse.events.models import with_models, without_models


def json_encoder(renderer_class: type[BaseRenderer]) -> JSONEncode:
    """Return a function that encodes a value as ``renderer_class().render(value)`` does.

    ``None`` becomes ``null``, although renderers return an empty body for it. If the class overrides ``render()`` or
    ``get_indent()``, the function calls ``render()`` for each value, with plain data in place of models. Otherwise it
    bypasses the renderer and uses one shared encoder.
    """
    if issubclass(renderer_class, JSONRenderer) and _renders_like_drf(renderer_class):
        cls: Any = renderer_class
        return _drf_encoder(cls.encoder_class, cls.ensure_ascii, cls.compact, cls.strict)
    return _rendered_by(renderer_class())


def default_json_encoder() -> JSONEncode:
    """Return the encoder for REST framework's own ``JSONRenderer``."""
    return json_encoder(JSONRenderer)


def value_encoder(renderer_class: type[BaseRenderer]) -> JSONEncode:
    """Return an encoder for the elements of a list that a JSON renderer later renders as a whole.

    The encoder accepts the types that the renderer accepts, but does not call ``render()``. Whatever ``render()`` does
    to keys or adds around the data is applied once, to the whole list.
    """
    cls: Any = renderer_class if issubclass(renderer_class, JSONRenderer) else JSONRenderer
    return _drf_encoder(cls.encoder_class, cls.ensure_ascii, cls.compact, cls.strict)


def _renders_like_drf(renderer_class: type[JSONRenderer]) -> bool:
    return renderer_class.render is JSONRenderer.render and renderer_class.get_indent is JSONRenderer.get_indent


@lru_cache(maxsize=32)
def _drf_encoder(encoder_class: Any, ensure_ascii: bool, compact: bool, strict: bool) -> JSONEncode:
    chunks = _chunk_encoder(
        with_models(encoder_class)(
            ensure_ascii=ensure_ascii,
            allow_nan=not strict,
            separators=SHORT_SEPARATORS if compact else LONG_SEPARATORS,
        )
    )

    def to_json(data: Any) -> bytes:
        text = "".join(chunks(data, 0))
        if not text.isascii():
            # JSONRenderer escapes these two as well, because they end a line in JavaScript before ES2019.
            text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        return text.encode()

    return to_json


def _chunk_encoder(encoder: Any) -> Callable[[Any, int], Iterable[str]]:
    """Return a function that encodes a value like ``encoder.encode()``, and returns the text in parts.

    The function's second argument is the indentation level, which the C encoder expects.

    The standard library creates a C encoder for each value, which takes as long as encoding a small value. So
    one C encoder is created here, unless the encoder's class overrides ``encode()`` or ``iterencode()``. It does not
    detect circular references, so these raise ``RecursionError`` instead of ``ValueError``.
    """
    cls = type(encoder)
    inherits = cls.encode is json.JSONEncoder.encode and cls.iterencode is json.JSONEncoder.iterencode
    c_make_encoder: Any = getattr(json.encoder, "c_make_encoder", None)
    if c_make_encoder is None or not inherits or encoder.indent is not None:
        return lambda value, level: (encoder.encode(value),)
    chunks: Callable[[Any, int], Iterable[str]] = c_make_encoder(
        None,
        encoder.default,
        encode_basestring_ascii if encoder.ensure_ascii else encode_basestring,
        None,
        encoder.key_separator,
        encoder.item_separator,
        encoder.sort_keys,
        encoder.skipkeys,
        encoder.allow_nan,
    )
    return chunks


def _rendered_by(renderer: BaseRenderer) -> JSONEncode:
    # A render() that changes keys must see those of models too. The project's encoder still decides what each becomes.
    encoder_class: Any = getattr(renderer, "encoder_class", JSONEncoder)
    default = with_models(encoder_class if issubclass(encoder_class, json.JSONEncoder) else JSONEncoder)().default

    def to_json(data: Any) -> bytes:
        body = renderer.render(without_models(data, default), renderer.media_type, {})
        if data is None and not body:
            return b"null"
        return body.encode() if isinstance(body, str) else bytes(body)

    return to_json
