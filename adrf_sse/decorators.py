"""Function views that stream."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from adrf.decorators import api_view
from asgiref.sync import markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.views import APIView

from adrf_sse.renderers import EventStreamRenderer
from adrf_sse.serializers.event_serializers import Declared
from adrf_sse.streams.failures import FormatError
from adrf_sse.streams.options import ViewOptions, checked
from adrf_sse.streams.sources import AnySource
from adrf_sse.views import EventStreamMixin

if not TYPE_CHECKING:
    from rest_framework.decorators import (
        action,
        authentication_classes,
        parser_classes,
        permission_classes,
        renderer_classes,
        schema,
        throttle_classes,
    )

__all__ = [
    "action",
    "authentication_classes",
    "event_stream",
    "parser_classes",
    "permission_classes",
    "renderer_classes",
    "schema",
    "throttle_classes",
]

POLICIES = (
    *("authentication_classes", "parser_classes", "permission_classes", "renderer_classes", "schema"),
    "throttle_classes",
)
"""REST framework's policy decorators, which set an attribute of the same name."""

P = ParamSpec("P")
Function = Callable[Concatenate[Request, P], AnySource | HttpResponseBase | Awaitable[AnySource | HttpResponseBase]]
"""What ``@event_stream`` accepts: a generator function, or a function that returns a source or a response."""
WantsStream = Callable[[Request], bool | Awaitable[bool | None] | None]
"""Returns whether the response to a request is a stream, as ``wants_stream()`` of a view."""
View = Callable[Concatenate[HttpRequest, P], Coroutine[Any, Any, HttpResponseBase]]

if TYPE_CHECKING:
    from rest_framework.authentication import BaseAuthentication
    from rest_framework.parsers import BaseParser
    from rest_framework.permissions import _PermissionClass
    from rest_framework.renderers import BaseRenderer
    from rest_framework.schemas.inspectors import ViewInspector
    from rest_framework.throttling import BaseThrottle

    F = TypeVar("F", bound=Callable[..., Any])

    # REST framework's own decorators. Its stubs accept them only on functions that return a response.
    class Decorator(Protocol):
        def __call__(self, function: F, /) -> F: ...

    def action(
        methods: Sequence[str] | None = None,
        detail: bool | None = None,
        url_path: str | None = None,
        url_name: str | None = None,
        **kwargs: Any,
    ) -> Decorator: ...
    def authentication_classes(classes: Sequence[type[BaseAuthentication]], /) -> Decorator: ...
    def parser_classes(classes: Sequence[type[BaseParser]], /) -> Decorator: ...
    def permission_classes(classes: Sequence[_PermissionClass], /) -> Decorator: ...
    def renderer_classes(classes: Sequence[type[BaseRenderer]], /) -> Decorator: ...
    def schema(view_inspector: ViewInspector | type[ViewInspector] | None, /) -> Decorator: ...
    def throttle_classes(classes: Sequence[type[BaseThrottle]], /) -> Decorator: ...


@overload
def event_stream(function: Function[P], /) -> View[P]: ...
@overload
def event_stream(
    *,
    methods: Iterable[str] = ...,
    event_serializers: Mapping[str, Declared] | None = ...,
    serializer_class: Declared | None = ...,
    wants_stream: WantsStream | None = ...,
    format_error: FormatError | None = ...,
    **given: Unpack[ViewOptions],
) -> Callable[[Function[P]], View[P]]: ...
def event_stream(
    function: Function[P] | None = None,
    /,
    *,
    methods: Iterable[str] = ("GET",),
    event_serializers: Mapping[str, Declared] | None = None,
    serializer_class: Declared | None = None,
    wants_stream: WantsStream | None = None,
    format_error: FormatError | None = None,
    **given: Any,
) -> View[P] | Callable[[Function[P]], View[P]]:
    """Turn a function into a view. The function takes the request, and is a generator or returns a source.

    Use it without arguments, or with HTTP methods and options: ``@event_stream(methods=["GET", "POST"], heartbeat=5)``.
    REST framework's policy decorators, such as ``@permission_classes``, go below it, as they do below ``@api_view``.
    ``event_serializers`` and ``serializer_class`` serialize the events, as they do on a view class. ``wants_stream``
    is a function of the request, and ``format_error`` a function of the exception; they do what the methods of a view
    class do. Raises ``TypeError`` or ``ValueError`` for a bad option, and ``TypeError`` for a method, a class or a
    view.
    """
    for name in given:
        if name in POLICIES:
            raise TypeError(f"@event_stream must get options, got {name}. Write @{name}([…]) below @event_stream.")
    checked(given)
    if isinstance(methods, str):
        raise TypeError(f"methods must be a list of HTTP methods, got {methods!r}. Write methods=[{methods!r}].")
    names = [method.upper() for method in methods]
    typed = {"event_serializers": event_serializers, "serializer_class": serializer_class}
    hooks = {"wants_stream": _hook("wants_stream", wants_stream), "format_error": _hook("format_error", format_error)}
    attributes = given | {name: value for name, value in (typed | hooks).items() if value is not None}

    def decorate(function: Function[P]) -> View[P]:
        return cast(View[P], _called_by_django(_view_class(_checked_function(function), names, attributes).as_view()))

    return decorate if function is None else decorate(function)


def _hook(name: str, function: Callable[..., Any] | None) -> "staticmethod[..., Any] | None":
    """Return a function as the attribute of a view class, which then does not pass itself."""
    if function is not None and not callable(function):
        raise TypeError(f"{name} must be a function, got {function!r}. Pass the function itself.")
    return None if function is None else staticmethod(function)


def _checked_function(value: Any) -> Callable[..., Any]:
    """Return the function to decorate. Raises ``TypeError`` if the value is not a function of a request."""
    for is_wrong, came, advice in (
        (isinstance(value, type), "the class {}", "Let the class derive from AsyncSSEAPIView"),
        (hasattr(value, "cls") or hasattr(value, "view_class"), "the view {}", "Remove @api_view: this replaces it"),
        (not callable(value), "{!r}", "Pass methods by name: @event_stream(methods=['GET'])"),
        (_is_method(value), "the method {}", "Put EventStreamMixin in front of its view class, and yield there"),
    ):
        if is_wrong:
            shown = came.format(getattr(value, "__qualname__", value))
            raise TypeError(f"@event_stream must decorate a function that takes a request, got {shown}. {advice}.")
    function: Callable[..., Any] = value
    return function


def _is_method(function: Any) -> bool:
    """Return whether a function is defined in a class and takes the instance first."""
    outer, _, _ = getattr(function, "__qualname__", "").rpartition(".")
    if not outer or outer.endswith("<locals>"):
        return False
    return next(iter(signature(function).parameters), None) in ("self", "cls")


def _called_by_django(view: Callable[..., Any]) -> Callable[..., Any]:
    """Return the view, which then refuses a request that another view, such as one of ``@api_view``, passes to it."""

    @wraps(view)
    def checked_view(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if isinstance(request, Request):
            name = f"{request.method} {request.path}"
            raise TypeError(
                f"an @event_stream view must be called by Django with an HttpRequest, got REST framework's Request for "
                f"{name}. Remove @api_view above @event_stream: it replaces @api_view."
            )
        # REST framework before 3.17 accepts a policy decorator here, where it has no effect.
        for policy in vars(checked_view).keys() & POLICIES:
            raise TypeError(f"@{policy} must stand below @event_stream, got it above. Swap the two.")
        return view(request, *args, **kwargs)

    return markcoroutinefunction(checked_view)


def _view_class(function: Callable[..., Any], methods: list[str], given: dict[str, Any]) -> type[APIView]:
    @wraps(function)
    def handler(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    handler.event_stream_function = function  # type: ignore[attr-defined]
    policies = api_view(methods)(function).cls
    namespace: dict[str, Any] = {method.lower(): handler for method in methods}
    if "get" in namespace:
        namespace["head"] = handler  # which api_view() would refuse
    namespace["http_method_names"] = [*namespace, "options"]
    namespace["renderer_classes"] = getattr(function, "renderer_classes", [EventStreamRenderer])
    namespace["throttle_scope"] = getattr(function, "throttle_scope", None)
    namespace["__doc__"] = function.__doc__
    namespace["__module__"] = function.__module__
    namespace |= given
    return type(function.__name__, (EventStreamMixin, policies), namespace)
