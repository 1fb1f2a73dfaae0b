"""Tests of the OpenAPI documents of streams."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import drf_spectacular.validation
import pytest
from adrf.views import APIView
from adrf.viewsets import GenericViewSet, ModelViewSet, ViewSet
from django.contrib.auth import get_user_model
from django.urls import path
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.extensions import OpenApiViewExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.settings import patched_settings
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import validator_for
from openapi_spec_validator import validate
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication, TokenAuthentication
from rest_framework.decorators import action
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView as SyncAPIView

from adrf_sse import ServerSentEvent
from adrf_sse.decorators import event_stream
from adrf_sse.openapi.extension import EventStreamViewExtension
from adrf_sse.openapi.schema import EventStreamSchema
from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer
from adrf_sse.views import AsyncSSEAPIView, ChannelStreamView, EventStreamMixin, RunView
from tests.support.example import OAS, manage

ID = {"type": "string", "description": "The ID to send as Last-Event-ID to resume after this event."}
RETRY = {"type": "integer", "minimum": 0, "description": "Reconnection delay in milliseconds."}
REFUSAL = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
UNTYPED = {
    "type": "object",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}, "id": ID, "retry": RETRY},
    "required": ["data"],
}


class PriceSerializer(serializers.Serializer):
    eur = serializers.FloatField()


class CommentSerializer(serializers.Serializer):
    text = serializers.CharField()


class JSONLines(BaseRenderer):
    media_type = "application/jsonl"
    format = "jsonl"


class BareLines(JSONLines):
    media_type = "application/x-ndjson"
    format = "ndjson"
    envelope = False


@cache
def validator_of(version):
    """Return drf-spectacular's validator, as its ``validate_schema()`` uses it; to create one takes long."""
    file = Path(drf_spectacular.validation.__file__).with_name(f"openapi_{version.replace('.', '_')}_schema.json")
    schema = json.loads(file.read_text())
    cls = validator_for(schema)
    cls.check_schema(schema)
    return cls(schema)


def document(*patterns, version="3.1", quiet=True):
    """Generate the document of these URLs, and assert that it is valid and, if ``quiet``, made without warnings."""
    with patched_settings(OAS[version]):
        schema = SchemaGenerator(patterns=patterns).get_schema(request=None, public=True)
    assert bool(GENERATOR_STATS) is not quiet
    schema = json.loads(json.dumps(schema))
    validator_of(version).validate(schema)
    validate(schema)
    return schema


def operation(view, url="events/", method="get", **kwargs):
    return document(path(url, view), **kwargs)["paths"][f"/{url}".replace("<int:pk>", "{id}")][method]


def content(view, media_type="text/event-stream", **kwargs):
    return operation(view, **kwargs)["responses"]["200"]["content"][media_type]


def parameters(described):
    return {parameter["name"] for parameter in described.get("parameters", [])}


class Prices(AsyncSSEAPIView):
    event_serializers = {
        "price": PriceSerializer,
        "history": PriceSerializer(many=True),
        "closed": serializers.CharField(),
        "any": serializers.JSONField,
    }

    async def get(self, request, **kwargs):
        yield "price", {"eur": 1}, 7
        yield "history", [{"eur": 1}]
        yield "closed", "See you tomorrow."
        yield "any", [None]
        raise LookupError


class Plain(AsyncSSEAPIView):
    async def get(self, request, **kwargs):
        yield 1


# The events


def event(name, data, **more):
    return {
        "title": name,
        "type": "object",
        "properties": {"event": {"type": "string", "const": name}, "data": data, "id": ID, **more},
        "required": ["event", "data"],
    }


def json_string(schema):
    return {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}


PRICE = {"$ref": "#/components/schemas/Price"}
FAILURE = {"type": "object", "properties": {"detail": {}, "code": {}}, "required": ["detail", "code"]}
FRAMES = {
    "oneOf": [
        event("price", json_string(PRICE), retry=RETRY),
        event("history", json_string({"type": "array", "items": PRICE}), retry=RETRY),
        event("closed", {"type": "string"}, retry=RETRY),
        event("any", {"type": "string"}, retry=RETRY),
        event("error", json_string(FAILURE), retry=RETRY),
    ]
}


def test_each_event_is_described_by_name():
    assert content(Prices.as_view()) == {"schema": FRAMES}


def test_openapi_3_2_documents_use_item_schema():
    assert content(Prices.as_view(), version="3.2") == {"itemSchema": FRAMES}


def test_openapi_3_0_documents_describe_the_decoded_data():
    price, history, closed, *_ = content(Prices.as_view(), version="3.0")["schema"]["oneOf"]
    assert price["properties"]["event"] == {"type": "string", "enum": ["price"]}
    assert price["properties"]["data"] == PRICE
    assert history["properties"]["data"] == {"type": "array", "items": PRICE}
    assert closed["properties"]["data"] == {"type": "string"}


@pytest.mark.parametrize("version", OAS)
def test_a_stream_without_declared_events_may_send_events_of_any_name(version):
    (schema,) = content(Plain.as_view(), version=version).values()
    assert schema == UNTYPED


@pytest.mark.parametrize("named", [None, {"comment": CommentSerializer}])
def test_events_without_a_name_are_described_as_message(named):
    class View(Plain):
        serializer_class = PriceSerializer
        event_serializers = named

    described = content(View.as_view())["schema"]["oneOf"]
    unnamed = next(schema for schema in described if schema.get("title") == "message")
    assert unnamed["properties"]["event"] == {"type": "string", "const": "message"}
    assert unnamed["properties"]["data"] == json_string(PRICE)
    assert unnamed["required"] == ["data"]
    others = [schema for schema in described if "title" not in schema]
    if named:
        assert not others
    else:
        assert others[0]["properties"]["event"] == {"type": "string", "not": {"enum": ["message", "error"]}}


def test_the_error_event_is_described_with_the_views_error_event():
    class View(Prices):
        error_event = "failure"

    class Own(Prices):
        event_serializers = {"error": CommentSerializer}

    assert [schema["title"] for schema in content(View.as_view())["schema"]["oneOf"]][-1] == "failure"
    assert [schema["title"] for schema in content(Own.as_view())["schema"]["oneOf"]] == ["error"]


@pytest.mark.parametrize(
    ("options", "titles"),
    [
        ({"finite": True}, ["end", "error"]),
        ({"finite": True, "end_event": ("complete", "")}, ["complete", "error"]),
        ({"end_event": ("complete", {"n": 1})}, ["complete", "error"]),
        ({"end_event": ServerSentEvent(event="complete")}, ["complete", "error"]),
        ({"end_event": b"event: complete\ndata: x\n\n"}, ["complete", "error"]),
        ({"end_event": "[DONE]"}, ["message", "error"]),
        ({"end_event": ("price", {})}, ["error"]),
    ],
    ids=repr,
)
def test_the_end_of_a_stream_is_described(options, titles):
    view = type("View", (Prices,), options)
    declared = list(Prices.event_serializers)
    described = content(view.as_view())["schema"]["oneOf"]
    assert [schema["title"] for schema in described] == [*declared, *titles]


def test_the_events_that_begin_a_stream_of_channels_are_described():
    class View(ChannelStreamView):
        event_serializers = {"price": PriceSerializer}

    described = content(View.as_view())["schema"]["oneOf"]
    assert [schema["title"] for schema in described] == ["price", "reset", "ready", "error"]


def test_the_list_of_a_stream_has_no_end():
    view = type("View", (SeveralFormats,), {"finite": True})
    items = content(view.as_view(), "application/json")["schema"]["items"]["oneOf"]
    assert "end" not in [schema["title"] for schema in items]


async def test_the_events_of_a_stream_match_its_schema(visit):
    schema = document(path("events/", Prices.as_view()))
    items = schema["paths"]["/events/"]["get"]["responses"]["200"]["content"]["text/event-stream"]["schema"]
    validator = Draft202012Validator({**items, "components": schema["components"]})
    async with visit(Prices.as_view()) as stream:
        events = [received async for received in stream]
    assert [received.event for received in events] == ["price", "history", "closed", "any", "error"]
    for received in events:
        fields = {"event": received.event, "id": received.id, "data": received.data}
        validator.validate({name: value for name, value in fields.items() if value is not None})
        (described,) = [one for one in items["oneOf"] if one["title"] == received.event]
        if inner := described["properties"]["data"].get("contentSchema"):
            Draft202012Validator({**inner, "components": schema["components"]}).validate(json.loads(received.data))
    with pytest.raises(ValidationError):
        validator.validate({"event": "prize", "data": "1"})


# The formats


class SeveralFormats(Prices):
    renderer_classes = [EventStreamRenderer, JSONLines, BareLines, JSONRenderer, BrowsableAPIRenderer]


def test_every_format_of_a_view_is_described():
    described = operation(SeveralFormats.as_view())["responses"]["200"]["content"]
    assert set(described) == {"text/event-stream", "application/jsonl", "application/x-ndjson", "application/json"}
    history = {"type": "array", "items": PRICE}
    listed = [event("price", PRICE), event("history", history), event("closed", {"type": "string"}), event("any", {})]
    assert described["application/jsonl"] == {"schema": {"oneOf": [*listed, event("error", FAILURE)]}}
    assert described["application/json"] == {"schema": {"type": "array", "items": {"oneOf": listed}}}
    assert described["application/x-ndjson"] == {"schema": {"anyOf": [PRICE, history, {"type": "string"}, {}, FAILURE]}}


def test_only_sequences_have_an_item_schema():
    described = operation(SeveralFormats.as_view(), version="3.2")["responses"]["200"]["content"]
    assert {media_type for media_type, value in described.items() if "itemSchema" in value} == {
        "text/event-stream",
        "application/jsonl",
        "application/x-ndjson",
    }
    assert set(described["application/json"]) == {"schema"}


def test_the_lines_of_a_stream_without_declared_events_are_described():
    class View(Plain):
        renderer_classes = [EventStreamRenderer, JSONLines, BareLines]

    described = operation(View.as_view())["responses"]["200"]["content"]
    lines = {"type": "object", "properties": {"event": {"type": "string"}, "data": {}, "id": ID}, "required": ["data"]}
    assert described["application/jsonl"] == {"schema": lines}
    assert described["application/x-ndjson"] == {"schema": {"description": "The data of an event."}}


# Parameters and refusals


def test_the_last_event_id_is_a_header_and_a_query_parameter():
    assert {(one["name"], one["in"]) for one in operation(Plain.as_view())["parameters"]} == {
        ("Last-Event-ID", "header"),
        ("last_event_id", "query"),
    }


class Guarded(Plain):
    permission_classes = [IsAuthenticated]
    throttle_classes = [type("Throttle", (UserRateThrottle,), {"rate": "1/day"})]
    finite = True

    def get(self, request, pk):
        yield pk


@pytest.mark.parametrize(
    ("authentication", "codes"),
    [
        ([TokenAuthentication], {"200", "204", "401", "403", "404", "429", "503"}),
        ([SessionAuthentication], {"200", "204", "403", "404", "429", "503"}),
    ],
)
def test_refusals_are_described_as_json(authentication, codes):
    class View(Guarded):
        authentication_classes = authentication

    responses = operation(View.as_view(), url="events/<int:pk>/")["responses"]
    assert set(responses) == codes
    assert set(responses["204"]) == {"description"}
    for code in codes - {"200", "204"}:
        assert responses[code]["content"] == {"application/json": {"schema": REFUSAL}}
        assert ("Retry-After" in responses[code].get("headers", {})) is (code in ("429", "503"))


def test_a_view_without_permissions_has_no_refusals():
    class View(Plain):
        permission_classes = [AllowAny]

    assert set(operation(View.as_view())["responses"]) == {"200"}


def test_a_custom_exception_handler_may_return_any_schema():
    class View(Plain):
        def get_exception_handler(self):
            return print

    responses = operation(View.as_view(), url="events/<int:pk>/")["responses"]
    assert responses["404"]["content"]["application/json"] == {"schema": {"type": "object"}}


# Every kind of view


@event_stream(methods=["GET", "POST"], event_serializers={"price": PriceSerializer})
async def function(request):
    """Words about prices."""
    yield "price", {"eur": 1}


@pytest.mark.parametrize("method", ["get", "post"])
def test_function_views_are_described(method):
    described = operation(function, method=method)
    assert described["description"] == "Words about prices."
    names = [one["title"] for one in described["responses"]["200"]["content"]["text/event-stream"]["schema"]["oneOf"]]
    assert names == ["price", "error"]
    assert "requestBody" not in described


class StockView(APIView):
    renderer_classes = [EventStreamRenderer]

    async def get(self, request):
        return Response(iter([1]))


class SyncStockView(SyncAPIView):
    renderer_classes = [EventStreamRenderer]

    def get(self, request):
        return Response(iter([1]))


class StockViewSet(ViewSet):
    @action(detail=False, renderer_classes=[EventStreamRenderer])
    async def events(self, request):
        return Response(iter([1]))


@pytest.mark.parametrize(
    "view",
    [
        StockView.as_view(),
        SyncStockView.as_view(),
        StockViewSet.as_view({"get": "events"}, **StockViewSet.events.kwargs),
    ],
    ids=["adrf", "sync", "action"],
)
def test_views_with_only_the_renderer_are_described(view):
    described = operation(view)
    assert described["responses"]["200"]["content"] == {"text/event-stream": {"schema": UNTYPED}}
    assert parameters(described) == {"Last-Event-ID"}


class Users(EventStreamMixin, ModelViewSet):
    class UserSerializer(serializers.ModelSerializer):
        class Meta:
            model = get_user_model()
            fields = ["username"]

    queryset = get_user_model().objects.all()
    serializer_class = UserSerializer
    renderer_classes = [JSONRenderer, EventStreamRenderer]
    event_serializers = {"renamed": UserSerializer}

    @action(detail=True)
    async def events(self, request, pk):
        """Events of a user."""
        yield "renamed", None

    @action(detail=False, methods=["post"], url_path="search")
    async def search(self, request):
        yield "renamed", None


def paths_of(viewset, **kwargs):
    router = SimpleRouter()
    router.register("users", viewset)
    return document(*router.urls, **kwargs)["paths"]


def test_streaming_actions_are_described_beside_other_actions():
    paths = paths_of(Users)
    ref = {"$ref": "#/components/schemas/User"}
    events = paths["/users/{id}/events/"]["get"]
    assert events["description"] == "Events of a user."
    frames = events["responses"]["200"]["content"]["text/event-stream"]["schema"]["oneOf"]
    assert [one["title"] for one in frames] == ["renamed", "message", "error"]
    assert "404" in events["responses"]
    assert paths["/users/search/"]["post"]["requestBody"]["content"]["application/json"] == {"schema": ref}

    listing = paths["/users/"]["get"]
    assert listing["responses"]["200"]["content"] == {"application/json": {"schema": {"type": "array", "items": ref}}}
    assert parameters(listing) == {"format"}
    assert paths["/users/"]["post"]["responses"]["201"]["content"] == {"application/json": {"schema": ref}}


def test_streaming_list_and_retrieve_actions_keep_their_operation_ids():
    class Streams(EventStreamMixin, GenericViewSet):
        queryset = get_user_model().objects.all()
        renderer_classes = [EventStreamRenderer]

        async def list(self, request):
            yield 1

        async def retrieve(self, request, pk):
            yield 1

    paths = paths_of(Streams)
    many, one = paths["/users/"]["get"], paths["/users/{id}/"]["get"]
    assert (many["operationId"], one["operationId"]) == ("users_list", "users_retrieve")
    for described in (many, one):
        assert described["responses"]["200"]["content"]["text/event-stream"] == {"schema": UNTYPED}


def test_views_that_do_not_stream_are_not_changed():
    class View(APIView):
        renderer_classes = [JSONRenderer]
        serializer_class = PriceSerializer

        async def get(self, request):
            return Response({})

    assert EventStreamViewExtension(View.as_view()).view_replacement() is View
    assert operation(View.as_view())["responses"]["200"]["content"]["application/json"] == {"schema": PRICE}


def test_the_description_is_the_docstring_of_the_view():
    class Documented(Plain):
        """The docstring of the view."""

    assert operation(Documented.as_view())["description"] == "The docstring of the view."
    assert "description" not in operation(Plain.as_view())


def test_generating_a_document_does_not_change_the_views():
    def members():
        return {cls: {name: id(member) for name, member in vars(cls).items()} for cls in views}

    views = (Prices, Users, function.cls, StockView)
    before = members()
    document(path("a/", Prices.as_view()), path("b/", function), path("c/", StockView.as_view()))
    paths_of(Users)
    for cls, after in members().items():
        assert before[cls].items() <= after.items()
        assert "schema" not in after


# Descriptions by the project


def test_extend_schema_on_a_handler_adds_to_the_description():
    class View(Prices):
        @extend_schema(
            summary="Prices",
            parameters=[OpenApiParameter("currency", str), OpenApiParameter("last_event_id", exclude=True)],
            examples=[OpenApiExample("One", {"event": "price", "data": "{}"}, media_type="text/event-stream")],
        )
        async def get(self, request):
            yield "price", {"eur": 1}

    described = operation(View.as_view())
    assert described["summary"] == "Prices"
    assert parameters(described) == {"Last-Event-ID", "currency"}
    stream = described["responses"]["200"]["content"]["text/event-stream"]
    assert stream["schema"] == FRAMES
    assert set(stream["examples"]) == {"One"}
    assert "itemSchema" in content(View.as_view(), version="3.2")


@pytest.mark.parametrize("decorate", ["class", "view", "function", "above"])
def test_extend_schema_works_on_classes_views_and_functions(decorate):
    extend = extend_schema(tags=["market"])

    async def prices(request):
        yield "price", {"eur": 1}

    if decorate == "class":
        view = extend(type("View", (Prices,), {})).as_view()
    elif decorate == "view":
        view = extend_schema_view(get=extend)(type("View", (Prices,), {})).as_view()
    elif decorate == "function":
        view = event_stream(event_serializers=Prices.event_serializers)(extend(prices))
    else:
        view = extend(event_stream(event_serializers=Prices.event_serializers)(prices))
    described = operation(view)
    assert described["tags"] == ["market"]
    assert described["responses"]["200"]["content"]["text/event-stream"] == {"schema": FRAMES}


def test_responses_of_extend_schema_override_the_description():
    class View(Prices):
        @extend_schema(responses={(200, "text/event-stream"): CommentSerializer})
        async def get(self, request):
            yield 1

    assert content(View.as_view(), version="3.2") == {"schema": {"$ref": "#/components/schemas/Comment"}}


def test_extend_schema_can_declare_that_a_handler_does_not_stream():
    class View(Prices):
        @extend_schema(request=CommentSerializer, responses={201: PriceSerializer})
        async def post(self, request):
            return Response({"eur": 1}, status=201)

    described = operation(View.as_view(), method="post")
    assert described["responses"] == {"201": {"content": {"application/json": {"schema": PRICE}}, "description": ""}}
    assert not parameters(described)


def test_a_schema_class_of_the_project_takes_precedence():
    class Own(AutoSchema):
        def get_tags(self):
            return ["own"]

        def get_override_parameters(self):
            return [*super().get_override_parameters(), OpenApiParameter("own", str)]

    class View(Prices):
        schema = Own()

        @extend_schema(summary="Prices")
        async def post(self, request):
            yield "price", {"eur": 1}

    for method in ("get", "post"):
        described = operation(View.as_view(), method=method)
        assert described["tags"] == ["own"]
        assert {"own", "Last-Event-ID"} < parameters(described)
        assert described["responses"]["200"]["content"]["text/event-stream"] == {"schema": FRAMES}


def test_a_subclass_of_the_packages_schema_class_is_used_directly():
    class Own(EventStreamSchema):
        def get_tags(self):
            return ["own"]

    class View(Prices):
        schema = Own()

    assert operation(View.as_view())["tags"] == ["own"]


def test_an_extension_of_the_project_takes_precedence(monkeypatch):
    monkeypatch.setattr(OpenApiViewExtension, "_registry", [*OpenApiViewExtension._registry])

    class Own(OpenApiViewExtension):
        target_class = Prices

        def view_replacement(self):
            return extend_schema(responses=CommentSerializer)(type("Own", (self.target,), {}))

    assert content(Prices.as_view(), media_type="text/event-stream")["schema"] == {
        "$ref": "#/components/schemas/Comment"
    }


def test_the_warning_names_a_view_that_needs_a_real_request(capsys):
    class View(Plain):
        @property
        def event_serializers(self):
            return {self.request.GET["name"]: PriceSerializer}

    assert content(View.as_view(), quiet=False) == {"schema": UNTYPED}
    assert "event_serializers and get_serializer_class() of View must work without a real request" in (
        capsys.readouterr().err
    )


def test_a_renderer_whitelist_can_exclude_all_renderers():
    with patched_settings({"RENDERER_WHITELIST": ["rest_framework.renderers.JSONRenderer"]}):
        schema = SchemaGenerator(patterns=[path("events/", Plain.as_view())]).get_schema(request=None, public=True)
    assert schema["paths"]["/events/"]["get"]["responses"] == {"200": {"description": "A stream of events."}}


# Runs


class Chat(RunView):
    """Answer a prompt."""

    permission_classes = [AllowAny]
    event_serializers = {"token": CommentSerializer}

    async def run(self, request):
        yield "token", {"text": "a"}


@pytest.fixture(scope="module", params=OAS)
def run_document(request):
    """The document of the two routes of a ``RunView``, and its version."""
    declare = extend_schema_view(post=extend_schema(request=PriceSerializer))
    view, version = declare(type("Asking", (Chat,), {})).as_view(), request.param
    return document(path("chat/", view), path("chat/<str:run_id>/", view), version=version), version


def test_each_route_of_a_run_has_its_own_requests(run_document):
    schema, _ = run_document
    assert {url: set(methods) for url, methods in schema["paths"].items()} == {
        "/chat/": {"post"},
        "/chat/{run_id}/": {"get", "delete"},
    }
    requests = schema["paths"]["/chat/"] | schema["paths"]["/chat/{run_id}/"]
    assert {method: (parameters(each), set(each["responses"])) for method, each in requests.items()} == {
        "post": ({"Idempotency-Key", "Last-Event-ID", "last_event_id", "format"}, {"200", "202", "409", "503"}),
        "get": ({"run_id", "Last-Event-ID", "last_event_id", "format"}, {"200", "204", "404"}),
        "delete": ({"run_id", "format"}, {"204", "404"}),
    }
    assert requests["post"]["requestBody"]["content"]["application/json"] == {"schema": PRICE}
    assert "requestBody" not in requests["delete"]
    for code, response in requests["post"]["responses"].items():
        assert ("Location" in response.get("headers", {})) is (code in ("200", "202", "409"))
        assert ("Retry-After" in response.get("headers", {})) is (code == "503")
    for each in ("409", "503"):
        assert requests["post"]["responses"][each]["content"] == {"application/json": {"schema": REFUSAL}}


def test_a_run_is_described_as_a_stream_and_as_its_state(run_document):
    schema, version = run_document
    post = schema["paths"]["/chat/"]["post"]["responses"]
    followed = schema["paths"]["/chat/{run_id}/"]["get"]["responses"]["200"]["content"]
    assert set(post["200"]["content"]) == {"text/event-stream"}
    assert set(followed) == {"text/event-stream", "application/json"}
    (items,) = followed["text/event-stream"].values()
    assert [each["title"] for each in items["oneOf"]] == ["token", "end", "error"]
    data = items["oneOf"][1]["properties"]["data"]
    end = data if version == "3.0" else data["contentSchema"]
    assert end["properties"]["status"]["enum"] == ["completed", "failed", "stopped", "lost"]
    state = followed["application/json"]["schema"]
    assert post["202"]["content"] == {"application/json": {"schema": state}}
    assert set(state["properties"]) == {"id", "status", "started", "ended", "events"}
    assert state["properties"]["status"]["enum"] == ["queued", "running", "completed", "failed", "stopped", "lost"]
    time = {"type": "string", "nullable": True} if version == "3.0" else {"type": ["string", "null"]}
    assert state["properties"]["ended"] == {"format": "date-time", **time}


def test_a_run_may_have_any_formats_and_its_own_end():
    class View(Chat):
        renderer_classes = [JSONRenderer, JSONLines, EventStreamRenderer, EventStreamConsoleRenderer]
        permission_classes = [IsAuthenticated]
        end_event = "[DONE]"
        error_event = "failure"

    schema = document(path("chat/", View.as_view()), path("chat/<str:run_id>/", View.as_view()))
    (post,), (get, _) = (each.values() for each in schema["paths"].values())
    content = get["responses"]["200"]["content"]
    assert set(content) == {"application/json", "application/jsonl", "text/event-stream"}
    assert set(post["responses"]["200"]["content"]) == {"application/jsonl", "text/event-stream"}
    titles = [each["title"] for each in content["text/event-stream"]["schema"]["oneOf"]]
    assert titles == ["token", "message", "failure"]
    assert {"403", "404"} < set(get["responses"])
    assert "requestBody" not in post


async def test_the_state_of_a_run_matches_its_schema(event_stream_client, settings):
    routes = [path("chat/", Chat.as_view()), path("chat/<str:run_id>/", Chat.as_view())]
    schema = document(*routes)["paths"]["/chat/"]["post"]["responses"]["202"]["content"]["application/json"]["schema"]
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": routes})
    headers = {"Accept": "application/json"}
    async with event_stream_client.post("/chat/", headers=headers) as response:
        state = await response.json()
    Draft202012Validator(schema).validate(state)
    assert set(state) == set(schema["required"])


# The example and the app


@pytest.mark.parametrize(
    "version", [pytest.param(version, marks=[pytest.mark.slow] if version != "3.1" else []) for version in OAS]
)
def test_the_example_is_described_without_a_warning(tmp_path, version):
    settings = f"tests.support.example.OAS_{version.replace('.', '_')}"
    arguments = ("--fail-on-warn", "--validate", "--format", "openapi-json", "--custom-settings", settings)
    schema = json.loads(manage("spectacular", *arguments, database=tmp_path / "unused.sqlite3"))
    assert schema["openapi"] == f"{version}.0"
    validate(schema)
    streams = {
        url
        for url, operations in schema["paths"].items()
        if "text/event-stream"
        in operations.get("get", {"responses": {"200": {}}})["responses"]["200"].get("content", {})
    }
    assert {"/test/", "/countdown/events/", "/progress/jobs/{id}/events/", "/members/events/"} <= streams
    progress = schema["paths"]["/progress/jobs/{id}/events/"]["get"]["responses"]
    (items,) = progress["200"]["content"]["text/event-stream"].values()
    assert [one["title"] for one in items["oneOf"]] == ["progress", "done", "end", "error"]
    assert {"204", "404"} < set(progress)


def test_the_app_imports_the_openapi_package_only_with_drf_spectacular():
    script = """
import sys, django
from django.conf import settings
apps = ["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "adrf_sse", *sys.argv[1:]]
settings.configure(INSTALLED_APPS=apps)
django.setup()
print("adrf_sse.openapi.schema" in sys.modules, "drf_spectacular" in sys.modules)
"""

    def run(*apps):
        command = [sys.executable, "-c", script, *apps]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert run() == ["False", "False"]
    assert run("drf_spectacular") == ["True", "True"]
