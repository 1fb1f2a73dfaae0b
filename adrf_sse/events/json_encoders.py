"""JSON as a Django REST Framework renderer writes it, at a fraction of the cost for each value."""

import json
from collections.abc import Callable
from functools import lru_cache
from json.encoder import encode_basestring, encode_basestring_ascii
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


def value_encoder(renderer_class: type[BaseRenderer]) -> JSONEncode:
    """Return an encoder of single values for what a JSON renderer is to render as a whole.

    It takes what the renderer takes, by its encoder class, and leaves out what its ``render`` does with keys or puts
    around them: that comes once, at the end.
    """
    cls: Any = renderer_class if issubclass(renderer_class, JSONRenderer) else JSONRenderer
    return _drf_encoder(cls.encoder_class, cls.ensure_ascii, cls.compact, cls.strict)


def _renders_like_drf(renderer_class: type[JSONRenderer]) -> bool:
    return renderer_class.render is JSONRenderer.render and renderer_class.get_indent is JSONRenderer.get_indent


@lru_cache(maxsize=32)
def _drf_encoder(encoder_class: type[Any], ensure_ascii: bool, compact: bool, strict: bool) -> JSONEncode:
    encode = _json_text(
        encoder_class(
            ensure_ascii=ensure_ascii,
            allow_nan=not strict,
            separators=SHORT_SEPARATORS if compact else LONG_SEPARATORS,
        )
    )

    def to_json(data: Any) -> bytes:
        written = encode(data)
        if not written.isascii():
            # The renderer escapes these two as well: they end a line in JavaScript before ES2019.
            written = written.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        return written.encode()

    return to_json


def _json_text(encoder: Any) -> Callable[[Any], str]:
    """Return what gives the text of ``encoder.encode()``.

    The standard library makes its C encoder anew for each value, which takes as long as a small value itself. Where the
    encoder class leaves that to it, one is made here and kept. It looks for no circular references: those end in a
    ``RecursionError``, where they were a ``ValueError``.
    """
    cls = type(encoder)
    inherits = cls.encode is json.JSONEncoder.encode and cls.iterencode is json.JSONEncoder.iterencode
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None or not inherits or encoder.indent is not None:
        plain: Callable[[Any], str] = encoder.encode
        return plain
    in_one_go = make(
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
    return lambda data: "".join(in_one_go(data, 0))


def _rendered_by(renderer: BaseRenderer) -> JSONEncode:
    def to_json(data: Any) -> bytes:
        written = renderer.render(data, renderer.media_type, {})
        if data is None and not written:
            return b"null"
        return written.encode() if isinstance(written, str) else bytes(written)

    return to_json
