"""Tests of the system checks."""

import ast
import re
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path

import pytest
from adrf.decorators import api_view
from adrf.views import APIView
from adrf.viewsets import ViewSet
from django.apps import apps
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connections, transaction
from django.test import Client
from django.urls import include, path, re_path
from django.utils.decorators import method_decorator
from rest_framework.decorators import action, renderer_classes
from rest_framework.decorators import api_view as sync_api_view
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView as SyncAPIView

from adrf_sse.checks import CHECKS, project, workers
from adrf_sse.decorators import event_stream
from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.views import AsyncSSEAPIView, EventStreamMixin, RunView
from tests.support.example import EXAMPLE, manage

ROOT = Path(__file__).parents[2]
WORKERS = [*workers.WORKER_VARIABLES, workers.GUNICORN_ARGUMENTS]


@pytest.fixture(autouse=True)
def _one_worker(monkeypatch):
    for variable in WORKERS:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def no_asgi_server(monkeypatch):
    """Make the check find none of the ASGI servers that run from a command."""
    monkeypatch.setattr(project, "ASGI_SERVERS", ("adrf_sse_tests_no_such_server",))


@pytest.fixture
def atomic(monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)


@pytest.fixture
def route(settings):
    def route(*patterns):
        settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": list(patterns)})

    return route


def run_sse_checks():
    return run_checks(tags=["adrf_sse"])


def check_ids():
    return [message.id for message in run_sse_checks()]


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


class WithoutRenderer(EventStreamMixin, APIView):
    async def get(self, request):
        yield "a"


class Mixed(EventStreamMixin, ViewSet):
    async def list(self, request):
        return Response([])

    @action(detail=False, renderer_classes=[EventStreamRenderer])
    async def streaming(self, request):
        yield "a"


class ActionWithoutRenderer(Mixed):
    @action(detail=False)
    @asynccontextmanager
    async def not_streaming(self, request):
        yield


@event_stream
async def function(request):
    yield "a"


@event_stream
@renderer_classes([JSONRenderer])
async def function_without_renderer(request):
    yield "a"


def routes(viewset):
    router = SimpleRouter()
    router.register("things", viewset, basename="things")
    return path("", include(router.urls))


# All checks

MISCONFIGURED = """
import django
from django.conf import settings
from django.core.management import execute_from_command_line

settings.configure(
    SECRET_KEY="test",
    ROOT_URLCONF="__main__",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "adrf_sse"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    ADRF_SSE={"BROKERS": {}},
)
django.setup()

from django.contrib.auth.models import Group
from django.urls import include, path
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import ModelViewSet

from adrf_sse.views import LiveModelMixin


class GroupViewSet(LiveModelMixin, ModelViewSet):
    queryset = Group.objects.all()


router = SimpleRouter()
router.register("groups", GroupViewSet)
urlpatterns = [path("", include(router.urls))]
execute_from_command_line(["manage.py", "check"])
"""


def test_invalid_settings_are_reported_although_a_router_inspects_the_views():
    done = subprocess.run([sys.executable, "-c", MISCONFIGURED], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "(adrf_sse.E001) ADRF_SSE must have only the keys" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_test_project_has_no_issues():
    assert run_sse_checks() == []


def test_the_example_has_no_issues(tmp_path):
    output = manage("check", "--fail-level", "INFO", database=tmp_path / "none.sqlite3")
    assert output == "System check identified no issues (0 silenced).\n"
    assert (EXAMPLE / "manage.py").exists()


def test_every_check_id_is_documented():
    source = "".join(module.read_text() for module in (ROOT / "adrf_sse" / "checks").glob("*.py"))
    used = re.findall(r'id="(adrf_sse\.[EWI]\d{3})"', source)
    described = re.findall(r"^## (adrf_sse\.\w+)", (ROOT / "docs" / "checks.md").read_text(), re.MULTILINE)
    assert sorted(used) == sorted(described)
    assert len(used) == len(set(used)) == len(CHECKS)


def messages():
    """Return the ID of each message that the checks create, with the name of its class."""
    for module in (ROOT / "adrf_sse" / "checks").glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                for keyword in node.keywords:
                    if keyword.arg == "id":
                        yield ast.literal_eval(keyword.value), node.func.attr


def test_the_table_of_checks_lists_each_message_with_its_level_and_the_summary_of_its_section():
    page = (ROOT / "docs" / "checks.md").read_text()
    summaries = dict(re.findall(r"^## (adrf_sse\.\w+)\n\n\*\*(.*?)\*\*", page, re.DOTALL | re.MULTILINE))
    levels = {"Error": "error", "Warning": "warning", "Info": "information"}
    rows = {
        f"| [`{check}`](#{check.replace('.', '').lower()}) | {levels[name]} | {' '.join(summaries[check].split())} |"
        for check, name in messages()
    }
    table = re.findall(r"^\| \[`adrf_sse.*$", page, re.MULTILINE)
    assert sorted(table) == sorted(rows)
    assert len(table) == len(CHECKS)


def test_a_check_can_be_silenced(settings, capsys):
    settings.WSGI_APPLICATION = "config.deep.wsgi.application"
    settings.SILENCED_SYSTEM_CHECKS = ["adrf_sse.W001"]
    call_command("check", "--tag", "adrf_sse", "--fail-level", "INFO")
    assert capsys.readouterr().out == "System check identified no issues (1 silenced).\n"


# The project


def test_a_project_with_only_a_wsgi_application_gets_a_warning(settings):
    settings.WSGI_APPLICATION = "config.deep.wsgi.application"
    [warning] = run_sse_checks()
    assert warning.id == "adrf_sse.W001"
    assert warning.msg.startswith("The project has a WSGI application, config.deep.wsgi.application, and no ASGI")
    assert "Create the module config.deep.asgi with" in warning.hint


@pytest.mark.parametrize(
    "values",
    [
        {"WSGI_APPLICATION": "tests.project.wsgi.application"},  # tests.project.asgi exists
        {"WSGI_APPLICATION": "config.wsgi.application", "ASGI_APPLICATION": "config.routing.application"},
        {"WSGI_APPLICATION": None},
    ],
)
def test_the_asgi_application_is_found_by_setting_or_beside_the_wsgi_module(settings, values):
    for name, value in values.items():
        setattr(settings, name, value)
    assert check_ids() == []


def test_the_warning_names_synchronous_middleware(settings):
    settings.MIDDLEWARE = [
        "django.middleware.security.SecurityMiddleware",
        "tests.support.middleware.sync_only",
        "tests.support.middleware.wrapping",
        "tests.support.middleware.sync_wrapping",
        "tests.support.middleware.no_such",
    ]
    [warning] = run_sse_checks()
    assert warning.id == "adrf_sse.W002"
    assert "capable: tests.support.middleware.sync_only, tests.support.middleware.sync_wrapping. Under" in warning.msg


@pytest.mark.usefixtures("no_asgi_server")
def test_a_missing_asgi_server_is_reported_in_debug_mode(settings):
    assert check_ids() == []
    settings.DEBUG = True
    assert check_ids() == ["adrf_sse.I001"]


@pytest.mark.usefixtures("no_asgi_server")
def test_the_runserver_of_daphne_counts_as_an_asgi_server(settings, monkeypatch):
    settings.DEBUG = True
    monkeypatch.setattr(apps, "is_installed", lambda name: name == "daphne")
    assert check_ids() == []


def test_an_installed_asgi_server_prevents_the_message_in_debug_mode(settings):
    settings.DEBUG = True
    assert check_ids() == []


# The broker


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
def test_the_memory_broker_with_several_workers_gets_a_warning(monkeypatch, variable, value, workers):
    monkeypatch.setenv(variable, value)
    [warning] = run_sse_checks()
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
def test_the_memory_broker_with_one_worker_gets_no_warning(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    assert check_ids() == []


def test_another_broker_with_several_workers_gets_no_warning(monkeypatch, settings):
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    settings.ADRF_SSE = {"BROKER": {"BACKEND": "project.Broker"}}
    assert "adrf_sse.W003" not in check_ids()
    settings.ADRF_SSE = {"BROKER": "project.Broker"}
    assert "adrf_sse.W003" not in check_ids(), "another check reports the missing broker already"
    settings.ADRF_SSE = {}
    assert "adrf_sse.W003" in check_ids()


# The views


@pytest.mark.usefixtures("atomic")
def test_atomic_requests_is_an_error_for_each_asynchronous_streaming_view(route):
    route(
        path("a", Stream.as_view()),
        path("again", Stream.as_view()),
        path("b/", include([path("b", Stock.as_view()), path("c", function)])),
        path("d", SyncStock.as_view()),
        path("e", Data.as_view()),
        path("f", lambda request: None),
        routes(Mixed),
    )
    errors = run_sse_checks()
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
def test_a_view_exempt_from_atomic_requests_is_served_and_not_reported(route, view):
    route(path("", view))
    assert check_ids() == []
    assert b"".join(Client().get("/").streaming_content) == b"data: a\n\n"


@pytest.mark.usefixtures("atomic")
def test_django_refuses_a_view_reported_for_atomic_requests(route):
    route(path("", Stream.as_view()))
    assert check_ids() == ["adrf_sse.E002"]
    with pytest.raises(RuntimeError, match="You cannot use ATOMIC_REQUESTS with async views"):
        Client().get("/")


def test_a_streaming_view_without_a_streaming_renderer_gets_a_warning(route):
    route(
        path("a", WithoutRenderer.as_view()),
        path("again", WithoutRenderer.as_view()),
        path("b", function_without_renderer),
        routes(ActionWithoutRenderer),
    )
    assert [(warning.id, warning.obj) for warning in run_sse_checks()] == [
        ("adrf_sse.W004", f"tests.unit.test_checks.{name}")
        for name in ("WithoutRenderer", "function_without_renderer", "ActionWithoutRenderer")
    ]
    assert run_sse_checks()[1].msg == "This view streams, but none of its renderers can send a stream: JSONRenderer."


def test_a_streaming_renderer_may_be_named_in_several_places(route):
    class Choosing(WithoutRenderer):
        def get_renderers(self):
            return [EventStreamRenderer()]

    route(
        path("a", Stream.as_view()),
        path("b", WithoutRenderer.as_view(renderer_classes=[EventStreamRenderer])),
        path("c", Choosing.as_view()),
        path("d", function),
        path("e", Data.as_view()),
        routes(Mixed),
    )
    assert check_ids() == []


def test_errors_of_the_urlconf_are_left_to_django(settings):
    settings.ROOT_URLCONF = "tests.no_such_urls"
    assert check_ids() == []
    with pytest.raises(ModuleNotFoundError, match="no_such_urls"):
        run_checks()


def test_a_project_without_a_urlconf_has_no_issues(settings):
    del settings.ROOT_URLCONF
    assert check_ids() == []


# Generator handlers of plain views


class PlainGenerator(APIView):
    renderer_classes = [EventStreamRenderer]

    async def get(self, request):
        yield "a"


class PlainSyncGenerator(SyncAPIView):
    def get(self, request):
        yield "a"


class PlainViewSet(ViewSet):
    async def list(self, request):
        return Response([])

    @action(detail=False)
    async def streaming(self, request):
        yield "a"


@api_view(["GET"])
async def plain_function(request):
    yield "a"


@sync_api_view(["GET"])
def plain_sync_function(request):
    yield "a"


def as_response(function):
    @wraps(function)
    def handler(self, request):
        return Response(function(self, request))

    return handler


class Wrapped(SyncAPIView):
    renderer_classes = [EventStreamRenderer]

    @as_response
    def get(self, request):
        yield "a"


PLAIN_GENERATORS = {
    PlainGenerator.as_view(): "PlainGenerator.get",
    PlainSyncGenerator.as_view(): "PlainSyncGenerator.get",
    plain_function: "plain_function.get",
    plain_sync_function: "plain_sync_function.get",
}


def test_a_generator_handler_of_a_plain_view_is_an_error(route):
    route(
        *[path(name, view) for view, name in PLAIN_GENERATORS.items()],
        path("again", PlainGenerator.as_view()),
        path("other", Wrapped.as_view()),
        path("stream", Stream.as_view()),
        path("function", function),
        routes(PlainViewSet),
    )
    errors = run_sse_checks()
    assert [(error.id, error.obj.removeprefix("tests.unit.test_checks.")) for error in errors] == [
        ("adrf_sse.E004", name) for name in [*PLAIN_GENERATORS.values(), "PlainViewSet.streaming"]
    ]
    assert errors[0].msg == "This handler yields, but its view expects a response. Each request to it fails."


@pytest.mark.parametrize("view", PLAIN_GENERATORS, ids=PLAIN_GENERATORS.values())
def test_the_error_of_a_generator_handler_has_a_note_that_says_what_to_do(route, view):
    route(path("", view))
    with pytest.raises(AssertionError, match="Expected a `Response`") as caught:
        Client().get("/")
    [note] = caught.value.__notes__
    assert note.startswith("The handler yields, but its view expects a response. Derive the class from adrf_sse.views.")


@pytest.mark.parametrize(
    ("url", "message"), [("/", "is wrong"), ("/none/", "didn't return an HttpResponse"), ("/class/", "received a")]
)
def test_another_error_of_a_view_has_no_note(route, url, message):
    class Failing(PlainGenerator):
        def initial(self, request, *args, **kwargs):
            raise ValueError("is wrong")

    class Nothing(SyncAPIView):
        def get(self, request):
            return None

    route(path("", Failing.as_view()), path("none/", lambda request: None), path("class/", Nothing.as_view()))
    with pytest.raises((ValueError, AssertionError), match=message) as caught:
        Client().get(url)
    assert not hasattr(caught.value, "__notes__")


# Runs


class Run(RunView):
    async def run(self, request):
        yield "a"


class OtherRun(Run):
    pass


class RunElsewhere(Run):
    def get_run_url(self, request, run_id):
        return f"/runs/{run_id}/"


def test_a_view_of_runs_without_a_route_to_follow_them_gets_a_warning(route):
    route(path("chat/", Run.as_view()), path("chat/<str:id>/", Run.as_view()), path("other/", RunElsewhere.as_view()))
    [warning] = run_sse_checks()
    assert (warning.id, warning.obj) == ("adrf_sse.W006", "tests.unit.test_checks.Run")
    assert warning.msg == (
        "This RunView has no route with run_id, so clients can't follow or stop the runs that it starts."
    )


@pytest.mark.parametrize(
    "followed",
    [
        path("chat/<str:run_id>/", Run.as_view()),
        re_path("^chat/(?P<run_id>[0-9a-f]+)/$", Run.as_view()),
        path("chat/", include([path("<str:run_id>/", Run.as_view())])),
        path("<slug:run_id>/", include([path("chat/", Run.as_view())])),
        path("chat/now/", Run.as_view(), {"run_id": "now"}),
        path("chat/", include([path("now/", Run.as_view())]), {"run_id": "now"}),
    ],
)
def test_the_route_to_follow_runs_may_be_of_any_form(route, followed):
    route(path("chat/", Run.as_view()), followed, path("stream/", Stream.as_view()))
    assert check_ids() == []


def test_runs_with_several_workers_need_a_broker_that_connects_them(route, monkeypatch, settings):
    patterns = [path(each, view.as_view()) for view in (Run, OtherRun) for each in ("a/", "a/<str:run_id>/")]
    route(*patterns, path("stream/", Stream.as_view()))
    assert check_ids() == []
    monkeypatch.setenv("WEB_CONCURRENCY", "2")
    found = [(message.id, message.obj) for message in run_sse_checks()]
    names = [f"tests.unit.test_checks.{name}" for name in ("Run", "OtherRun")]
    assert sorted(found, key=str) == [("adrf_sse.W003", None), *(("adrf_sse.W005", name) for name in sorted(names))]
    options = {"url": "redis://127.0.0.1:1"}
    settings.ADRF_SSE = {"BROKER": {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": options}}
    assert check_ids() == []
