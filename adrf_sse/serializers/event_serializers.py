"""Typed events: the serializer that a view declares for an event's name serializes the event's data."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from copy import deepcopy
from inspect import isclass
from typing import Any

from asgiref.sync import sync_to_async
from rest_framework import fields, serializers
from rest_framework.generics import GenericAPIView

from adrf_sse.events.event import OWN_EVENTS, ServerSentEvent
from adrf_sse.events.frames import fields_of
from adrf_sse.serializers.plain import is_plain, is_plain_data
from adrf_sse.validators import event_name, shown_briefly

Declared = type[fields.Field[Any, Any, Any, Any]] | fields.Field[Any, Any, Any, Any]
"""A serializer or field, as a class or as an instance such as ``PriceSerializer(many=True)``."""

Represent = Callable[[Any], Awaitable[Any]]
"""Serializes the data of one event."""


def event_serializers(view: Any) -> "EventSerializers | None":
    """Return the serializers for one stream of a view, or ``None`` if the view declares none."""
    named, unnamed = view.event_serializers, serializer_of_unnamed(view)
    if named is None and unnamed is None:
        return None
    return EventSerializers(named, unnamed, lambda: _context_of(view), _own_names(view))


def _own_names(view: Any) -> Iterable[str | None]:
    """Return the names of the events that a view's options name: ``error_event`` and ``end_event``."""
    end_event = getattr(view, "end_event", None)
    return getattr(view, "error_event", None), *(name for name, _, _ in fields_of(end_event))


def serializer_of_unnamed(view: Any) -> Declared | None:
    """Return the serializer for a view's events without a name: its ``serializer_class``.

    A generic view's ``serializer_class`` is for its other handlers. It applies to events only if the view also
    declares ``event_serializers``.
    """
    if not isinstance(view, GenericAPIView):
        return getattr(view, "serializer_class", None)
    if getattr(view, "event_serializers", None) is None or not has_serializer(view):
        return None
    return view.get_serializer_class()


def has_serializer(view: "GenericAPIView[Any]") -> bool:
    """Return whether a generic view has a serializer. If it has none, ``get_serializer_class()`` fails."""
    return view.serializer_class is not None or (
        type(view).get_serializer_class is not GenericAPIView.get_serializer_class
    )


def _context_of(view: Any) -> dict[str, Any]:
    """Return the serializer context of any view. REST framework defines one for generic views only."""
    if isinstance(view, GenericAPIView):
        return dict(view.get_serializer_context())
    return {"request": view.request, "format": view.format_kwarg, "view": view}


def check_declarations(cls: type) -> None:
    """Raise ``TypeError`` or ``ValueError`` if a view class declares an invalid serializer.

    Inherited attributes and properties are not checked.
    """
    own = {name: value for name, value in vars(cls).items() if value is not None and not hasattr(value, "__get__")}
    if "event_serializers" in own:
        declared_serializers(own["event_serializers"])
    if "serializer_class" in own and not issubclass(cls, GenericAPIView):
        declared_serializer("serializer_class", own["serializer_class"])


def declared_serializers(value: Any) -> Mapping[str, Declared]:
    """Return the value of ``event_serializers``. Raises ``TypeError`` or ``ValueError`` if an entry is not valid."""
    if not isinstance(value, Mapping):
        raise TypeError(
            f"event_serializers must be a dict of event names and serializers, got {value!r}. "
            'Write event_serializers = {"price": PriceSerializer}.'
        )
    for name, declared in value.items():
        declared_serializer(f"event_serializers[{event_name('a name in event_serializers', name)!r}]", declared)
    return value


def declared_serializer(name: str, value: Any) -> Declared:
    """Return the value. Raises ``TypeError`` if it is neither a serializer nor a field."""
    if isinstance(value, fields.Field) or (isclass(value) and issubclass(value, fields.Field)):
        return value
    raise TypeError(
        f"{name} must be a serializer or a field, got {value!r}. "
        "Use a serializer's class, SerializerClass(many=True), or a field such as serializers.CharField()."
    )


class EventSerializers:
    """Serialize the data of one stream's events by the serializers that the view declares.

    ``named`` has a serializer for each event name, and ``unnamed`` is for events without a name. If ``named`` is not
    ``None``, an event that has no serializer raises ``ValueError``, except the package's own events, and those in
    ``own_names``: their data is sent as it is. A serializer is created with the result of
    ``context()`` when its first event is yielded. The same instance then serializes all later events of that name.
    """

    __slots__ = ("_context", "_named", "_own_names", "_representers", "_unnamed")

    def __init__(
        self,
        named: Mapping[str, Declared] | None,
        unnamed: Declared | None,
        context: Callable[[], dict[str, Any]],
        own_names: Iterable[str | None] = (),
    ) -> None:
        self._named = None if named is None else declared_serializers(named)
        self._unnamed = None if unnamed is None else declared_serializer("serializer_class", unnamed)
        self._context = context
        self._own_names = OWN_EVENTS | {name for name in own_names if name is not None}
        self._representers: dict[str | None, Represent] = {}

    async def __call__(self, item: Any) -> Any:
        """Return the item that a source yielded, with its data serialized.

        ``bytes``, items that are not valid events, and events without data are returned unchanged.
        """
        if isinstance(item, tuple):
            return await self._tuple(item)
        if isinstance(item, ServerSentEvent):
            return await self._event(item)
        return item if isinstance(item, bytes) else await self._represented(None, item)

    async def _tuple(self, item: tuple[Any, ...]) -> tuple[Any, ...]:
        if not 2 <= len(item) <= 3 or not isinstance(item[0], str):
            return item  # The encoder raises the error.
        event, data, *rest = item
        return (event, await self._represented(event, data), *rest)

    async def _event(self, item: ServerSentEvent) -> ServerSentEvent:
        if not item.dispatches:
            return item
        before = item.data
        data = await self._represented(item.event, before)
        return item if data is before else item.with_data(data)

    async def _represented(self, event: str | None, data: Any) -> Any:
        declared = self._declared_for(event, data)
        if declared is None or data is None:
            return data
        represent = self._representers.get(event)
        if represent is None:
            # The context, and a serializer's __init__() and get_fields(), may query the database.
            serializer, plain = await sync_to_async(_create)(declared, self._context)
            represent = self._representers[event] = _represent_with(serializer, plain)
        return await represent(data)

    def _declared_for(self, event: str | None, data: Any) -> Declared | None:
        if event is None and self._unnamed is not None:
            return self._unnamed
        if self._named is None:
            return None
        if event is not None and event in self._named:
            return self._named[event]
        if event in self._own_names:
            return None
        names = ", ".join(map(repr, self._named)) or "none"
        got, fix = (
            ("an event without a name", "Name it, or declare serializer_class")
            if event is None
            else (f"{event!r}", "Rename it, or declare its serializer")
        )
        raise ValueError(
            f"an event must be one that event_serializers declares ({names}), got {got} with the data "
            f"{shown_briefly(data)}. {fix} on the view."
        )


def _create(declared: Declared, context: Callable[[], dict[str, Any]]) -> tuple[Any, bool]:
    """Create a serializer from its declaration, for one stream. Return it and whether it is plain."""
    if isclass(declared) and issubclass(declared, serializers.BaseSerializer):
        serializer: Any = declared(context=context())
    else:
        serializer = declared() if isclass(declared) else deepcopy(declared)
        # Fields and existing serializer instances read the context from their parent.
        serializer.bind(field_name="data", parent=serializers.Serializer(context=context()))
    return serializer, is_plain(serializer)


def _represent_with(serializer: Any, plain: bool) -> Represent:
    """Return a function that serializes data with the serializer.

    Asynchronous serializers are awaited, and synchronous serializers run in a thread. A plain serializer with plain
    data can't block, so it runs in the event loop, because a thread takes 30 times as long.
    """
    arepresent: Represent = getattr(serializer, "ato_representation", None) or sync_to_async(
        serializer.to_representation
    )
    if not plain:
        return arepresent

    async def represent_plain(data: Any) -> Any:
        return serializer.to_representation(data) if is_plain_data(data) else await arepresent(data)

    return represent_plain
