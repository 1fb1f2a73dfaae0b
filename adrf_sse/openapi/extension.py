"""The extension that describes views which stream with ``EventStreamSchema``.

The app imports this module if ``drf_spectacular`` is in ``INSTALLED_APPS``. No other setup is necessary.
"""

from functools import wraps
from inspect import getmembers_static, isfunction
from typing import Any
from weakref import WeakValueDictionary

from rest_framework.views import APIView

try:
    from drf_spectacular.extensions import OpenApiViewExtension
    from drf_spectacular.openapi import AutoSchema
    from drf_spectacular.plumbing import get_class
except ImportError as exc:
    raise ImportError(
        "adrf_sse.openapi needs drf-spectacular, which is not installed. Run: pip install 'adrf-sse[openapi]'"
    ) from exc

from adrf_sse.openapi.operations import is_sequential
from adrf_sse.openapi.run_schema import RunSchema
from adrf_sse.openapi.schema import EventStreamSchema
from adrf_sse.views import RunView

Handler = Any


class EventStreamViewExtension(OpenApiViewExtension):  # type: ignore[no-untyped-call]
    """Make ``EventStreamSchema`` a base class of the schema class of every view that may stream."""

    target_class = APIView
    match_subclasses = True
    priority = -1  # Extensions of the project and of other packages take precedence.

    def view_replacement(self) -> type[APIView]:
        """Return the view, described by ``EventStreamSchema`` if one of its renderers streams."""
        view: type[APIView] = self.target
        initkwargs = getattr(self.target_callback, "initkwargs", {})
        renderers = initkwargs.get("renderer_classes", view.renderer_classes)
        schema = get_class(view.schema)
        if not issubclass(schema, AutoSchema) or not any(is_sequential(renderer) for renderer in renderers):
            return view
        return _with_stream_schema(view, schema)


_replacements: WeakValueDictionary[tuple[type[APIView], type[AutoSchema]], type[APIView]] = WeakValueDictionary()


def _with_stream_schema(view: type[APIView], schema: type[AutoSchema]) -> type[APIView]:
    """Return a subclass of the view whose schema class, and those of its handlers, inherit from the package's own.

    All operations of a view share one subclass, because drf-spectacular identifies views by their classes.
    """
    replacement = _replacements.get((view, schema))
    if replacement is None:
        base = _schema_of(view)
        namespace = {"__doc__": view.__doc__, "__module__": view.__module__, "__qualname__": view.__qualname__}
        namespace |= {name: _extend_handler(handler, base) for name, handler in getmembers_static(view, _own_schema)}
        replacement = type(view.__name__, (view,), namespace | {"schema": _extend(schema, base)()})
        _replacements[view, schema] = replacement
    return replacement


def _schema_of(view: type[APIView]) -> type[EventStreamSchema]:
    return RunSchema if issubclass(view, RunView) else EventStreamSchema


def _own_schema(handler: Handler) -> Any:
    """Return the schema class that ``@extend_schema`` has set on a handler, if there is one."""
    schema = getattr(handler, "kwargs", {}).get("schema") if isfunction(handler) else None
    return schema if schema is not None and issubclass(get_class(schema), AutoSchema) else None


def _extend_handler(handler: Handler, base: type[EventStreamSchema]) -> Handler:
    """Return a copy of a handler whose own schema class also inherits from ``base``."""

    @wraps(handler)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        return handler(self, *args, **kwargs)

    schema = _extend(get_class(_own_schema(handler)), base)
    wrapper.kwargs = {**handler.kwargs, "schema": schema}  # type: ignore[attr-defined]
    return wrapper


def _extend(schema: type[AutoSchema], base: type[EventStreamSchema]) -> type[AutoSchema]:
    """Return a schema class that inherits from the given class first, and then from ``base``."""
    if issubclass(base, schema):
        return base
    bases: tuple[Any, ...] = (schema, base)
    return schema if issubclass(schema, base) else type(schema.__name__, bases, {})
