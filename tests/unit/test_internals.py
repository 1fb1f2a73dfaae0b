"""Tests of the private and undocumented names of other packages that this package uses."""

import ast
import asyncio
import contextlib
import json.encoder
import sys
import threading
from io import BytesIO
from pathlib import Path

import pytest
import redis.asyncio
from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext, async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.base import BaseHandler
from django.core.signals import request_finished
from django.db import connections
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.db.transaction import atomic, non_atomic_requests
from django.http import HttpRequest, HttpResponse, QueryDict
from django.middleware.csrf import CsrfViewMiddleware
from django.template.response import SimpleTemplateResponse
from django.utils.datastructures import MultiValueDict
from django.utils.functional import SimpleLazyObject, empty
from drf_spectacular.openapi import AutoSchema
from redis.asyncio.sentinel import Sentinel
from rest_framework import compat
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Empty, Request
from rest_framework.serializers import CharField, Serializer
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.views import APIView

import adrf_sse
from adrf_sse.runtime.executors import SingleThreadExecutor
from adrf_sse.runtime.internals import INTERNALS

PACKAGE = Path(adrf_sse.__file__).parent
FORM = b"application/x-www-form-urlencoded"


async def thread_sensitive_context():
    async with ThreadSensitiveContext() as context:
        assert SyncToAsync.thread_sensitive_context.get() is context
    executor = SingleThreadExecutor("test")
    context = ThreadSensitiveContext()
    SyncToAsync.context_to_thread_executor[context] = executor
    SyncToAsync.thread_sensitive_context.set(context)
    assert await sync_to_async(lambda: threading.current_thread().name)() == "test"
    executor.shutdown()


async def context_to_thread_executor():
    async with ThreadSensitiveContext() as context:
        first = await sync_to_async(threading.current_thread)()
        SyncToAsync.context_to_thread_executor.pop(context).shutdown(wait=False)
        await asyncio.to_thread(first.join)
        assert await sync_to_async(threading.current_thread)() is not first


async def executor_of_a_context():
    executor = SingleThreadExecutor("test")
    assert ThreadSensitiveContext(executor=executor)._executor is executor
    assert ThreadSensitiveContext()._executor is None


async def current_executor():
    async def asynchronous():
        assert AsyncToSync.executors.current is not None
        waiting = await sync_to_async(threading.current_thread)()
        async with ThreadSensitiveContext():
            AsyncToSync.executors.current = None
            return waiting, await sync_to_async(threading.current_thread)()

    def synchronous():
        return threading.current_thread(), *async_to_sync(asynchronous)()

    assert getattr(AsyncToSync.executors, "current", None) is None
    outermost, waiting, other = await asyncio.to_thread(synchronous)
    assert waiting is outermost
    assert other is not outermost


async def main_event_loop():
    loop = await sync_to_async(lambda: SyncToAsync.threadlocal.main_event_loop)()
    assert loop is asyncio.get_running_loop()
    assert await asyncio.to_thread(lambda: getattr(SyncToAsync.threadlocal, "main_event_loop", None)) is None


async def handler_class():
    handler, senders = ASGIHandler(), []
    handler._middleware_chain = lambda request: asyncio.sleep(0, HttpResponse())
    assert HttpResponse()._handler_class is None
    response = await handler.run_get_response(HttpRequest())
    assert response._handler_class is ASGIHandler
    request_finished.connect(lambda sender, **kwargs: senders.append(sender), weak=False, dispatch_uid="test")
    response.close()
    request_finished.disconnect(dispatch_uid="test")
    assert senders == [ASGIHandler]


async def resource_closers():
    handler, responses = BaseHandler(), []
    handler._middleware_chain = lambda request: HttpResponse()
    request = HttpRequest()
    responses.append(await sync_to_async(handler.get_response)(request))
    assert any(getattr(closer, "__self__", None) is request for closer in responses[0]._resource_closers)


async def post_render_callbacks():
    class Rendered(SimpleTemplateResponse):
        rendered_content = b""

    response, order = Rendered(None), []
    response.add_post_render_callback(lambda response: order.append("added"))
    response._post_render_callbacks.insert(0, lambda response: order.append("inserted"))
    response.render()
    assert order == ["inserted", "added"]


async def non_atomic():
    def view(request):
        raise NotImplementedError

    assert non_atomic_requests(view)._non_atomic_requests == {"default"}


async def work_items():
    executor = CurrentThreadExecutor(None)
    future = await asyncio.to_thread(executor.submit, threading.current_thread)
    with executor._work_ready:
        call = executor._work_items.popleft()
    assert (call.future, call.fn, call.args, call.kwargs) == (future, threading.current_thread, (), {})
    call.run()
    assert future.result() is threading.current_thread()


async def csrf_checks():
    request = HttpRequest()
    request.method, request._dont_enforce_csrf_checks = "POST", True
    assert CsrfViewMiddleware(HttpResponse).process_view(request, None, (), {}) is None


async def bodies():
    for accessed in (lambda request: request.body, lambda request: request.POST):
        scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", FORM), (b"host", b"a")]}
        request = ASGIRequest(scope, BytesIO(b"a=1"))
        assert "_body" not in vars(request)
        accessed(request)
        assert vars(request)["_body"] == b"a=1"
        assert vars(request)["_stream"].read() == b"a=1"
    assert vars(request)["_post"] == QueryDict("a=1")
    assert vars(request)["_files"] == MultiValueDict()
    vars(request).update(_body=b"", _stream=BytesIO())
    assert request.body == b""


async def parsed_bodies():
    request = APIRequestFactory().post("/", {"a": 1}, format="json")
    assert request.body
    request = APIView().initialize_request(request)
    assert vars(request)["_full_data"] is Empty
    request.parsers = [JSONParser()]
    assert request.data == {"a": 1}
    assert vars(request)["_full_data"] == vars(request)["_data"] == {"a": 1}
    assert vars(request)["_files"] == MultiValueDict()
    assert isinstance(vars(request)["_stream"], BytesIO)
    vars(request)["_stream"].close()
    assert request.data == {"a": 1}


async def forced_user():
    request, user = HttpRequest(), object()
    force_authenticate(request, user)
    assert request._force_auth_user is user
    assert Request(request).user is user


async def request_of_django():
    request = HttpRequest()
    assert Request(request)._request is request


async def readable_fields():
    class Name(Serializer):
        name = CharField()

        @property
        def _readable_fields(self):
            return []

    assert Name({"name": "a"}).data == {}


async def separators():
    data = {"a": [1, 2]}
    text = json.dumps(data, separators=compat.SHORT_SEPARATORS)
    assert JSONRenderer().render(data) == text.encode()
    assert compat.LONG_SEPARATORS == (", ", ": ")


async def c_encoder():
    encoder = json.JSONEncoder(separators=(",", ":"))
    encode = json.encoder.c_make_encoder(
        None, encoder.default, json.encoder.encode_basestring, None, ":", ",", False, False, True
    )
    assert "".join(encode({"a": ["ü", None]}, 0)) == encoder.encode({"a": ["ü", None]}).replace("\\u00fc", "ü")


async def context_manager_code():
    @contextlib.asynccontextmanager
    async def one():
        yield

    @contextlib.asynccontextmanager
    async def other():
        yield

    assert one.__code__ is other.__code__


async def schema_of_a_list():
    assert callable(AutoSchema._is_list_view)
    assert callable(AutoSchema._unwrap_list_serializer)


async def frames_of_threads():
    frame = sys._current_frames()[threading.get_ident()]
    assert frame.f_code is frames_of_threads.__code__


async def redis_connection(url):
    client = redis.asyncio.Redis.from_url(url, protocol=2, socket_timeout=5)
    pool = client.connection_pool
    pool.connection_class(**pool.connection_kwargs)
    connection = await pool.get_connection()
    await connection.send_command("SUBSCRIBE", "news", check_health=False)
    assert await connection.read_response(disable_decoding=True, timeout=5) == [b"subscribe", b"news", 1]
    assert await connection.read_response(disable_decoding=True, timeout=0.01) is None
    await connection.disconnect(nowait=True)
    await client.aclose()


async def sentinels():
    primary = Sentinel([("127.0.0.1", 1)]).master_for("ours")
    assert len(primary.connection_pool.sentinel_manager.sentinels) == 1
    await primary.aclose()


async def lazy_users():
    user = SimpleLazyObject(User)
    assert user._wrapped is empty
    assert user.is_authenticated
    assert type(user._wrapped) is User


async def commit_hooks():
    connection = DatabaseWrapper({**connections["default"].settings_dict, "NAME": ":memory:"}, "another")
    callback = list
    assert connection.atomic_blocks == []
    assert atomic()._from_testcase is False
    connection.in_atomic_block = True
    connection.savepoint_ids = ["outer"]
    connection.on_commit(callback)
    assert [(ids, hook) for ids, hook, *_ in connection.run_on_commit] == [({"outer"}, callback)]


SCENARIOS = {
    "asgiref.current_thread_executor.CurrentThreadExecutor._work_items": work_items,
    "asgiref.sync.SyncToAsync.thread_sensitive_context": thread_sensitive_context,
    "asgiref.sync.SyncToAsync.context_to_thread_executor": context_to_thread_executor,
    "asgiref.sync.ThreadSensitiveContext._executor": executor_of_a_context,
    "asgiref.sync.AsyncToSync.executors.current": current_executor,
    "asgiref.sync.SyncToAsync.threadlocal.main_event_loop": main_event_loop,
    "django.http.HttpRequest._body": bodies,
    "django.http.HttpRequest._dont_enforce_csrf_checks": csrf_checks,
    "django.http.HttpResponse._handler_class": handler_class,
    "django.http.HttpResponse._resource_closers": resource_closers,
    "django.template.response.SimpleTemplateResponse._post_render_callbacks": post_render_callbacks,
    "django.db.backends.base.base.BaseDatabaseWrapper.run_on_commit": commit_hooks,
    "django.db.transaction.Atomic._from_testcase": commit_hooks,
    "django.db.transaction.non_atomic_requests()._non_atomic_requests": non_atomic,
    "django.utils.functional.LazyObject._wrapped": lazy_users,
    "rest_framework.request.Request._full_data": parsed_bodies,
    "rest_framework.request.Request._request": request_of_django,
    "rest_framework.test.force_authenticate()._force_auth_user": forced_user,
    "rest_framework.serializers.Serializer._readable_fields": readable_fields,
    "rest_framework.compat.SHORT_SEPARATORS": separators,
    "json.encoder.c_make_encoder": c_encoder,
    "contextlib.asynccontextmanager().__code__": context_manager_code,
    "drf_spectacular.openapi.AutoSchema._is_list_view": schema_of_a_list,
    "drf_spectacular.openapi.AutoSchema._unwrap_list_serializer": schema_of_a_list,
    "sys._current_frames": frames_of_threads,
    "redis.asyncio.Connection.read_response": redis_connection,
    "redis.asyncio.ConnectionPool.get_connection": redis_connection,
    "redis.asyncio.sentinel.SentinelConnectionPool.sentinel_manager": sentinels,
}


@pytest.mark.parametrize("name", INTERNALS)
async def test_an_internal_name_behaves_as_the_package_expects(name, request):
    scenario = SCENARIOS[name]
    if scenario is redis_connection:
        await scenario(request.getfixturevalue("redis_url"))
    else:
        await asyncio.create_task(scenario())  # in a separate context


def test_every_internal_name_has_a_scenario():
    assert SCENARIOS.keys() == INTERNALS.keys()


def private_names(path):
    """Yield the private attributes that a module reads from objects other than ``self``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
            if not is_own(node.value):
                yield node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
            name = node.args[1].value if isinstance(node.args[1], ast.Constant) else ""
            if name.startswith("_") and not name.endswith("__"):
                yield name


def is_own(node):
    """Return whether an expression is ``self``, ``cls`` or ``super()``."""
    name = node.func if isinstance(node, ast.Call) else node
    return isinstance(name, ast.Name) and name.id in ("self", "cls", "super")


def test_no_other_private_name_of_another_object_is_used():
    listed = {name.rpartition(".")[2] for name in INTERNALS}
    documented = {"_base_manager", "_meta", "_state"}  # of Django's models
    for path in PACKAGE.rglob("*.py"):
        assert set(private_names(path)) <= listed | documented, path


def test_every_internal_name_is_used():
    code = "".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "internals.py")
    assert [name for name in INTERNALS if name.rpartition(".")[2] not in code] == []
