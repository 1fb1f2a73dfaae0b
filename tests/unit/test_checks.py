"""What ``manage.py check`` says, and that it says nothing of a project that is well set up."""

import re
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from adrf.views import APIView
from adrf.viewsets import ViewSet
from django.apps import apps
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connections, transaction
from django.test import Client
from django.urls import include, path
from django.utils.decorators import method_decorator
from rest_framework.decorators import action, renderer_classes
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView as SyncAPIView

from adrf_sse.checks import CHECKS, project, workers
from adrf_sse.decorators import event_stream
from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.views import AsyncSSEAPIView, EventStreamMixin
from tests.support.example import EXAMPLE, manage

ROOT = Path(__file__).parents[2]
WORKERS = [*workers.WORKER_VARIABLES, workers.GUNICORN_ARGUMENTS]


@pytest.fixture(autouse=True)
def _one_worker(monkeypatch):
    for variable in WORKERS:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def no_asgi_server(monkeypatch):
    """An environment that has none of the servers that run from a command."""
    monkeypatch.setattr(project, "ASGI_SERVERS", ("adrf_sse_tests_no_such_server",))


@pytest.fixture
def atomic(monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)


@pytest.fixture
def route(settings):
    def route(*patterns):
        settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": list(patterns)})

    return route


def found():
    return run_checks(tags=["adrf_sse"])


def ids():
    return [message.id for message in found()]


class Stream(AsyncSSEAPIView):
    async def get(self, request):
        yield "a"


class Stock(APIView):
    renderer_classes = [EventStreamRenderer]

    async def get(self, request):
        return Response(iter("a"))


class SyncStock(SyncAPIView):
    renderer_classes = [EventStreamRenderer]

    def get(self, request):
        return Response(iter("a"))


class Data(APIView):
    async def get(self, request):
        return Response({})


class Mute(EventStreamMixin, APIView):
    async def get(self, request):
        yield "a"


class Mixed(EventStreamMixin, ViewSet):
    async def list(self, request):
        return Response([])

    @action(detail=False, renderer_classes=[EventStreamRenderer])
    async def heard(self, request):
        yield "a"


class MuteAction(Mixed):
    @action(detail=False)
    @asynccontextmanager
    async def unheard(self, request):
        yield


@event_stream
async def function(request):
    yield "a"


@event_stream
@renderer_classes([JSONRenderer])
async def mute_function(request):
    yield "a"


def routes(viewset):
    router = SimpleRouter()
    router.register("things", viewset, basename="things")
    return path("", include(router.urls))


# The whole.


def test_a_project_that_is_well_set_up_hears_nothing():
    assert found() == []


def test_the_example_is_well_set_up(tmp_path):
    said = manage("check", "--fail-level", "INFO", database=tmp_path / "none.sqlite3")
    assert said == "System check identified no issues (0 silenced).\n"
    assert (EXAMPLE / "manage.py").exists()


def test_every_id_has_a_section_in_the_documentation_and_every_section_an_id():
    source = "".join(module.read_text() for module in (ROOT / "adrf_sse" / "checks").glob("*.py"))
    used = re.findall(r'id="(adrf_sse\.[EWI]\d{3})"', source)
    described = re.findall(r"^## (adrf_sse\.\w+)", (ROOT / "docs" / "checks.md").read_text(), re.MULTILINE)
    assert sorted(used) == sorted(described)
    assert len(used) == len(set(used)) == len(CHECKS)


def test_a_check_can_be_silenced(settings, capsys):
    settings.WSGI_APPLICATION = "config.deep.wsgi.application"
    settings.SILENCED_SYSTEM_CHECKS = ["adrf_sse.W001"]
    call_command("check", "--tag", "adrf_sse", "--fail-level", "INFO")
    assert capsys.readouterr().out == "System check identified no issues (1 silenced).\n"


# The project.


def test_a_wsgi_application_alone_is_warned_of(settings):
    settings.WSGI_APPLICATION = "config.deep.wsgi.application"
    [warning] = found()
    assert warning.id == "adrf_sse.W001"
    assert warning.msg.startswith("The project has a WSGI application, config.deep.wsgi.application, and no ASGI")
    assert "Create the module config.deep.asgi with" in warning.hint


@pytest.mark.parametrize(
    "values",
    [
        {"WSGI_APPLICATION": "tests.project.wsgi.application"},  # tests.project.asgi is beside it
        {"WSGI_APPLICATION": "config.wsgi.application", "ASGI_APPLICATION": "config.routing.application"},
        {"WSGI_APPLICATION": None},
    ],
)
def test_an_asgi_application_is_found_by_its_setting_or_beside_the_other(settings, values):
    for name, value in values.items():
        setattr(settings, name, value)
    assert ids() == []


def test_synchronous_middleware_is_named(settings):
    settings.MIDDLEWARE = [
        "django.middleware.security.SecurityMiddleware",
        "tests.support.middleware.sync_only",
        "tests.support.middleware.wrapping",
        "tests.support.middleware.sync_wrapping",
        "tests.support.middleware.no_such",
    ]
    [warning] = found()
    assert warning.id == "adrf_sse.W002"
    assert "capable: tests.support.middleware.sync_only, tests.support.middleware.sync_wrapping. Under" in warning.msg


@pytest.mark.usefixtures("no_asgi_server")
def test_a_developer_without_an_asgi_server_is_told(settings):
    assert ids() == []
    settings.DEBUG = True
    assert ids() == ["adrf_sse.I001"]


@pytest.mark.usefixtures("no_asgi_server")
def test_daphnes_runserver_is_an_asgi_server(settings, monkeypatch):
    settings.DEBUG = True
    monkeypatch.setattr(apps, "is_installed", lambda name: name == "daphne")
    assert ids() == []


def test_an_installed_asgi_server_is_enough_for_a_developer(settings):
    settings.DEBUG = True
    assert ids() == []


# The broker.


@pytest.mark.parametrize(
    ("variable", "value", "workers"),
    [
        ("WEB_CONCURRENCY", "4", 4),
        ("UVICORN_WORKERS", "2", 2),
        ("GRANIAN_WORKERS", "2", 2),
        ("GUNICORN_CMD_ARGS", "--bind :80 --workers=3 -k uvicorn_worker.UvicornWorker", 3),
        ("GUNICORN_CMD_ARGS", "--workers 3", 3),
        ("GUNICORN_CMD_ARGS", "-w 3", 3),
        ("GUNICORN_CMD_ARGS", "-w3", 3),
    ],
)
def test_the_memory_broker_under_several_workers_is_warned_of(monkeypatch, variable, value, workers):
    monkeypatch.setenv(variable, value)
    [warning] = found()
    assert warning.id == "adrf_sse.W003"
    assert warning.msg.startswith(f"{variable} requests {workers} worker processes, but the broker adrf_sse.brokers.")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WEB_CONCURRENCY", "1"),
        ("WEB_CONCURRENCY", ""),
        ("WEB_CONCURRENCY", "many"),
        ("GUNICORN_CMD_ARGS", "--worker-connections 1000 -w 1"),
        ("GUNICORN_CMD_ARGS", "--workers"),
        ("GUNICORN_CMD_ARGS", "'-w 4"),
    ],
)
def test_one_worker_needs_no_other_broker(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    assert ids() == []


def test_another_broker_may_have_any_number_of_workers(monkeypatch, settings):
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    settings.ADRF_SSE = {"BROKER": {"BACKEND": "project.Broker"}}
    assert "adrf_sse.W003" not in ids()
    settings.ADRF_SSE = {"BROKER": "project.Broker"}
    assert "adrf_sse.W003" not in ids(), "that there is no such broker is told already"
    settings.ADRF_SSE = {}
    assert "adrf_sse.W003" in ids()


# The views.


@pytest.mark.usefixtures("atomic")
def test_atomic_requests_is_an_error_for_each_asynchronous_view_with_streams(route):
    route(
        path("a", Stream.as_view()),
        path("again", Stream.as_view()),
        path("b/", include([path("b", Stock.as_view()), path("c", function)])),
        path("d", SyncStock.as_view()),
        path("e", Data.as_view()),
        path("f", lambda request: None),
        routes(Mixed),
    )
    errors = found()
    assert [(error.id, error.obj) for error in errors] == [
        ("adrf_sse.E002", f"tests.unit.test_checks.{name}") for name in ("Stream", "Stock", "function", "Mixed")
    ]
    assert errors[0].msg.startswith("ATOMIC_REQUESTS is True for the database 'default', and this view is asynchronous")


@pytest.mark.usefixtures("atomic")
@pytest.mark.parametrize(
    "view",
    [
        transaction.non_atomic_requests(Stream.as_view()),
        method_decorator(transaction.non_atomic_requests, name="dispatch")(
            type("Decorated", (Stream,), {"dispatch": Stream.dispatch})
        ).as_view(),
    ],
)
def test_django_serves_a_view_that_is_exempt_of_atomic_requests_and_the_check_is_silent(route, view):
    route(path("", view))
    assert ids() == []
    assert b"".join(Client().get("/").streaming_content) == b"data: a\n\n"


@pytest.mark.usefixtures("atomic")
def test_django_refuses_a_view_that_the_check_reports(route):
    route(path("", Stream.as_view()))
    assert ids() == ["adrf_sse.E002"]
    with pytest.raises(RuntimeError, match="You cannot use ATOMIC_REQUESTS with async views"):
        Client().get("/")


def test_a_view_made_to_stream_without_a_renderer_that_can_is_warned_of(route):
    route(path("a", Mute.as_view()), path("again", Mute.as_view()), path("b", mute_function), routes(MuteAction))
    assert [(warning.id, warning.obj) for warning in found()] == [
        ("adrf_sse.W004", f"tests.unit.test_checks.{name}") for name in ("Mute", "mute_function", "MuteAction")
    ]
    assert found()[1].msg == "This view streams, but none of its renderers can send a stream: JSONRenderer."


def test_views_with_a_renderer_that_streams_are_fine_wherever_it_is_named(route):
    class Choosing(Mute):
        def get_renderers(self):
            return [EventStreamRenderer()]

    route(
        path("a", Stream.as_view()),
        path("b", Mute.as_view(renderer_classes=[EventStreamRenderer])),
        path("c", Choosing.as_view()),
        path("d", function),
        path("e", Data.as_view()),
        routes(Mixed),
    )
    assert ids() == []


def test_a_urlconf_that_can_not_be_imported_is_left_to_django(settings):
    settings.ROOT_URLCONF = "tests.no_such_urls"
    assert ids() == []
    with pytest.raises(ModuleNotFoundError, match="no_such_urls"):
        run_checks()


def test_a_project_without_urls_is_fine(settings):
    del settings.ROOT_URLCONF
    assert ids() == []
