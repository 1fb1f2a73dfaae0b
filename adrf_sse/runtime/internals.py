"""The private and undocumented names of other packages that this package depends on, and what breaks with each.

A comment beside each use says why no public name serves. ``tests/unit/test_internals.py`` checks what each name means
on every supported pair of Python and Django, so that a release of another package that changes one is noticed.
"""

INTERNALS = {
    "asgiref.sync.SyncToAsync.thread_sensitive_context": "AttributeError with the first stream.",
    "asgiref.sync.SyncToAsync.context_to_thread_executor": "AttributeError with the first stream.",
    "asgiref.sync.ThreadSensitiveContext._executor": "AttributeError with the first stream.",
    "asgiref.current_thread_executor.CurrentThreadExecutor._work_items": (
        "AttributeError in the first synchronous test, and in produce_sync(); so _work_ready, and the parts of a call."
    ),
    "asgiref.sync.AsyncToSync.executors.current": (
        "Behind synchronous middleware and under WSGI, synchronous calls of sources wait for a thread that waits."
    ),
    "asgiref.sync.SyncToAsync.threadlocal.main_event_loop": (
        "Middleware that runs in a thread takes ASGI for WSGI, and wraps the stream with a synchronous iterator."
    ),
    "contextlib.asynccontextmanager().__code__": "Handlers that are decorated with it are called in a thread.",
    "django.db.backends.base.base.BaseDatabaseWrapper.run_on_commit": (
        "AttributeError when a row of a live list is saved; so savepoint_ids."
    ),
    "django.db.transaction.non_atomic_requests()._non_atomic_requests": (
        "manage.py check reports adrf_sse.E002 for views that are decorated."
    ),
    "django.db.transaction.Atomic._from_testcase": (
        "AttributeError when a row of a live list is saved; so atomic_blocks of a connection."
    ),
    "django.http.HttpRequest._body": (
        "A stream keeps its request's body in memory, or KeyError with its first chunk; so _stream, _post and _files."
    ),
    "django.http.HttpRequest._dont_enforce_csrf_checks": "EventStreamClient is refused for the lack of a CSRF token.",
    "django.http.HttpResponse._handler_class": "AttributeError with the first stream.",
    "django.http.HttpResponse._resource_closers": "AttributeError with the first stream.",
    "django.template.response.SimpleTemplateResponse._post_render_callbacks": (
        "AttributeError with the first stream of a view without the mixin."
    ),
    "django.utils.functional.LazyObject._wrapped": "AttributeError when disconnect() looks for a user's streams.",
    "drf_spectacular.openapi.AutoSchema._is_list_view": "Streams are described with the filters and pages of lists.",
    "drf_spectacular.openapi.AutoSchema._unwrap_list_serializer": "AttributeError for documents with typed events.",
    "json.encoder.c_make_encoder": "Small events take twice as long to encode.",
    "redis.asyncio.Connection.read_response": "AttributeError with the first subscription; so send_command.",
    "redis.asyncio.ConnectionPool.get_connection": "AttributeError with the first subscription; so connection_kwargs.",
    "redis.asyncio.sentinel.SentinelConnectionPool.sentinel_manager": "Connections to sentinels stay open.",
    "rest_framework.compat.SHORT_SEPARATORS": "ImportError for every view; so LONG_SEPARATORS.",
    "rest_framework.request.Request._full_data": "KeyError with the first stream; so _stream, _data and _files.",
    "rest_framework.request.Request._request": "AttributeError with the first stream.",
    "rest_framework.serializers.Serializer._readable_fields": "RuntimeError with the first typed event.",
    "rest_framework.test.force_authenticate()._force_auth_user": "Reauthorization refuses users that a test forced.",
    "sys._current_frames": "AttributeError in the thread that looks for slow steps while DEBUG is on.",
}
