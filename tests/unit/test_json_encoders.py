import datetime
import uuid
from decimal import Decimal

import pytest
from django.utils.translation import gettext_lazy
from rest_framework.renderers import BaseRenderer, JSONRenderer

from adrf_sse.events.json_encoders import json_encoder

VALUES = [
    {"a": 1, "b": [True, None, 1.5]},
    "née ☃ \u2028 \u2029",
    {"when": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), "took": datetime.timedelta(seconds=3)},
    {"id": uuid.UUID(int=5), "price": Decimal("1.10"), "bytes": b"abc"},
    (1, 2),
    [],
    gettext_lazy("Name"),
]


class ASCII(JSONRenderer):
    ensure_ascii = True


class Spacious(JSONRenderer):
    compact = False


class Lax(JSONRenderer):
    strict = False


@pytest.mark.parametrize("renderer_class", [JSONRenderer, ASCII, Spacious, Lax])
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_the_encoder_returns_the_same_bytes_as_the_renderer(renderer_class, value):
    assert json_encoder(renderer_class)(value) == renderer_class().render(value)


def test_strict_json_decides_whether_nan_is_allowed():
    assert json_encoder(Lax)(float("nan")) == b"NaN"
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_encoder(JSONRenderer)(float("nan"))


def test_none_is_encoded_as_null_if_the_renderer_returns_an_empty_body():
    assert JSONRenderer().render(None) == b""
    assert json_encoder(JSONRenderer)(None) == b"null"


class Shouting(BaseRenderer):
    media_type = "application/json"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return "" if data is None else f'"{data.upper()}!"'


def test_a_renderer_with_its_own_render_method_encodes_the_data():
    assert json_encoder(Shouting)("née") == '"NÉE!"'.encode()
    assert json_encoder(Shouting)(None) == b"null"
