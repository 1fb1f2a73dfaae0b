"""Typed events: the data of each event passes through the serializer that is declared for its name."""

from collections.abc import Awaitable, Callable, Mapping
from copy import deepcopy
from inspect import isclass
from reprlib import repr as short_repr
from typing import Any

from asgiref.sync import sync_to_async
from rest_framework import fields, serializers
from rest_framework.generics import GenericAPIView

from adrf_sse.events.event import RESET_EVENT, ServerSentEvent
from adrf_sse.serializers.plain import is_plain, is_plain_data
from adrf_sse.validators import event_name

Declared = type[fields.Field] | fields.Field  # type: ignore[type-arg]
"""A serializer or field, as a class or as an instance such as ``PriceSerializer(many=True)``."""

Represent = Callable[[Any], Awaitable[Any]]


def event_serializers(view: Any) -> "EventSerializers | None":
    """Return what serializes the events of a view's streams; ``None`` where it declares nothing."""
    named, unnamed = view.event_serializers, serializer_of_unnamed(view)
    if named is None and unnamed is None:
        return None
    return EventSerializers(named, unnamed, lambda: _context_of(view))


def serializer_of_unnamed(view: Any) -> Declared | None:
    """Return the serializer of a view's events without a name: its ``serializer_class``.

    A generic view's is what its other handlers take and give, so there it counts only beside ``event_serializers``.
    """
    if not isinstance(view, GenericAPIView):
        return getattr(view, "serializer_class", None)
    if getattr(view, "event_serializers", None) is None or not has_serializer(view):
        return None
    return view.get_serializer_class()


def has_serializer(view: "GenericAPIView[Any]") -> bool:
    """Tell whether ``get_serializer_class()`` has something to return."""
    return view.serializer_class is not None or (
        type(view).get_serializer_class is not GenericAPIView.get_serializer_class
    )


def _context_of(view: Any) -> dict[str, Any]:
    """Return the context that a generic view gives its serializers, of any view."""
    if isinstance(view, GenericAPIView):
        return dict(view.get_serializer_context())
    return {"request": view.request, "format": view.format_kwarg, "view": view}


def check_declarations(cls: type) -> None:
    """Raise ``TypeError`` or ``ValueError`` for what a view class itself declares wrongly."""
    own = {name: value for name, value in vars(cls).items() if value is not None and not hasattr(value, "__get__")}
    if "event_serializers" in own:
        declared_serializers(own["event_serializers"])
    if "serializer_class" in own and not issubclass(cls, GenericAPIView):
        declared_serializer("serializer_class", own["serializer_class"])


def declared_serializers(value: Any) -> Mapping[str, Declared]:
    """Return what a view declares as ``event_serializers``. Raises ``TypeError`` or ``ValueError`` that says where."""
    if not isinstance(value, Mapping):
        raise TypeError(
            f"event_serializers must be a dict of event names and their serializers, got {value!r}. "
            'Write event_serializers = {"price": PriceSerializer}.'
        )
    for name, declared in value.items():
        declared_serializer(f"event_serializers[{event_name('a name in event_serializers', name)!r}]", declared)
    return value


def declared_serializer(name: str, value: Any) -> Declared:
    """Return a serializer or field. Raises ``TypeError`` for anything else."""
    if isinstance(value, fields.Field) or (isclass(value) and issubclass(value, fields.Field)):
        return value
    raise TypeError(
        f"{name} must be a serializer or a field, got {value!r}. "
        "Use a serializer's class, SerializerClass(many=True), or a field such as serializers.CharField()."
    )


class EventSerializers:
    """Serialize the data of a stream's events, each event by what is declared for its name.

    ``named`` is a view's ``event_serializers``, where it has any; then an event of another name is a ``ValueError``.
    ``unnamed`` is for events without a name. A serializer is made once for a stream, when its first event comes, with
    what ``context()`` returns, and represents the data of all that follow, as the items of a list where ``many=True``.
    """

    __slots__ = ("_context", "_named", "_representers", "_unnamed")

    def __init__(
        self, named: Mapping[str, Declared] | None, unnamed: Declared | None, context: Callable[[], dict[str, Any]]
    ) -> None:
        self._named = None if named is None else declared_serializers(named)
        self._unnamed = None if unnamed is None else declared_serializer("serializer_class", unnamed)
        self._context = context
        self._representers: dict[str | None, Represent] = {}

    async def __call__(self, item: Any) -> Any:
        """Return what a source has yielded, its data serialized. What is no event, or has no data, stays as it is."""
        if isinstance(item, tuple):
            return await self._tuple(item)
        if isinstance(item, ServerSentEvent):
            return await self._event(item)
        return item if isinstance(item, bytes) else await self._represented(None, item)

    async def _tuple(self, item: tuple[Any, ...]) -> tuple[Any, ...]:
        if not 2 <= len(item) <= 3 or not isinstance(item[0], str):
            return item  # which the encoder refuses
        event, data, *rest = item
        return (event, await self._represented(event, data), *rest)

    async def _event(self, item: ServerSentEvent) -> ServerSentEvent:
        if not item.dispatches:
            return item
        before = item.data
        if item.event == RESET_EVENT and RESET_EVENT not in (self._named or {}):
            return item
        data = await self._represented(item.event, before)
        return item if data is before else item.with_data(data)

    async def _represented(self, event: str | None, data: Any) -> Any:
        declared = self._declared_for(event, data)
        if declared is None or data is None:
            return data
        represent = self._representers.get(event)
        if represent is None:
            # A serializer's __init__() and get_fields(), like the context, may ask the database.
            made = await sync_to_async(_made)(declared, self._context)
            represent = self._representers[event] = _representer(*made)
        return await represent(data)

    def _declared_for(self, event: str | None, data: Any) -> Declared | None:
        if event is None and self._unnamed is not None:
            return self._unnamed
        if self._named is None:
            return None
        if event is not None and event in self._named:
            return self._named[event]
        names = ", ".join(map(repr, self._named)) or "none"
        came, remedy = (
            ("an event without a name", "Name it, or declare serializer_class")
            if event is None
            else (f"{event!r}", "Rename it, or declare its serializer")
        )
        raise ValueError(
            f"an event must be one that event_serializers declares ({names}), got {came} with the data "
            f"{short_repr(data)}. {remedy} on the view."
        )


def _made(declared: Declared, context: Callable[[], dict[str, Any]]) -> tuple[fields.Field, bool]:  # type: ignore[type-arg]
    """Return a serializer of the stream's own, and whether it is plain."""
    if isclass(declared) and issubclass(declared, serializers.BaseSerializer):
        made: Any = declared(context=context())
    else:
        made = declared() if isclass(declared) else deepcopy(declared)
        # What it takes its context from.
        made.bind(field_name="data", parent=serializers.Serializer(context=context()))
    return made, is_plain(made)


def _representer(serializer: Any, plain: bool) -> Represent:
    """Return what represents data: where nothing can block, in the event loop; a thread takes 30 times as long."""
    in_thread: Represent = getattr(serializer, "ato_representation", None) or sync_to_async(
        serializer.to_representation
    )
    if not plain:
        return in_thread

    async def represent(data: Any) -> Any:
        return serializer.to_representation(data) if is_plain_data(data) else await in_thread(data)

    return represent
