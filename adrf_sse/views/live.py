"""Viewsets that stream the rows of their model, and their changes."""

from collections.abc import Hashable
from functools import cache
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.utils.timezone import get_current_timezone_name
from django.utils.translation import get_language
from rest_framework.decorators import action
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from adrf_sse.channels.announcements import channel_of
from adrf_sse.channels.live_models import live_models
from adrf_sse.channels.model_signals import watch_model
from adrf_sse.events.json_encoders import json_encoder
from adrf_sse.live.live_list import LiveList
from adrf_sse.logs import logger
from adrf_sse.renderers.console import EventStreamConsoleRenderer
from adrf_sse.renderers.event_stream import EventStreamRenderer
from adrf_sse.streams.failures import ErrorFormat
from adrf_sse.streams.options import StreamOptions

_NOT_ROWS = ("last_event_id", "format")


class LiveModelMixin(ErrorFormat, StreamOptions):
    """Add a live list to a model viewset, at the route ``live/``. Put the mixin in front of the viewset class.

    The stream begins with the event ``snapshot``: the rows of ``get_queryset()`` that the viewset's filters let
    through, in the form of its serializer. The events ``created`` and ``updated`` (data: the row) and ``deleted``
    (data: the lookup field) follow as transactions commit, in any process that shares the broker. A row that enters or
    leaves what the client may see is created or deleted there. The options of a stream are attributes of the viewset.

    The viewset's class needs ``queryset``, or a ``serializer_class`` with a model, so that every process knows the
    model. Raises ``TypeError`` if ``live_by`` is not a field of the model, or if the
    model has a composite primary key.
    """

    live_by: str | None = None
    """The field of the model that says whose row it is, by the user's primary key. A change then costs one reading for
    each user whose row it is, and nothing for others. Without it, each client's rows are read for each change."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        model = _model_of(cls)
        if model is not None:
            _check_key(cls, model)
            _check_field(cls, model)
            watch_model(model, cls.live_by)

    @action(detail=False, renderer_classes=[EventStreamRenderer, EventStreamConsoleRenderer])
    def live(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Stream the rows that the client may see, and their changes."""
        model = _model_of(type(self))
        if model is None or not live_models(model):
            raise ImproperlyConfigured(
                f"{type(self).__name__} must have the attribute queryset, or a serializer_class with a model, so that "
                "every process announces the changes of the model. Add queryset = YourModel.objects.all()."
            )
        _warn_without_app()
        user = None if self.live_by is None else _value_of(request.user, model, self.live_by)
        encode = json_encoder(_data_renderer_of(request.accepted_renderer))
        return Response(LiveList(self, channel_of(model, self.live_by, user), self._live_key(request), encode))

    def get_live_partition(self) -> Hashable | None:
        """Return what the rows and their form depend on; clients with the same value share each reading of the rows.

        ``None`` shares them with no other client. The default is the user if ``live_by`` is set, and ``None`` for users
        without a primary key, such as anonymous ones. Return a constant if all clients see the same rows in the same
        form.
        """
        request: Request = self.request  # type: ignore[attr-defined]
        key = getattr(request.user, "pk", None)
        return None if self.live_by is None or key is None else ("user", request.user.__class__, key)

    def _live_key(self, request: Request) -> Hashable:
        """Return what two clients must have in common to receive the same bytes."""
        partition = self.get_live_partition()
        if partition is None:
            return object()
        if not isinstance(partition, Hashable):
            raise TypeError(
                f"get_live_partition() of {type(self).__name__} must return a hashable value, got {partition!r}. "
                "Return a str, a number or a tuple of them, or None."
            )
        query = tuple((name, tuple(values)) for name, values in request.GET.lists() if name not in _NOT_ROWS)
        path = request.path
        form = (type(request.accepted_renderer), get_language(), get_current_timezone_name())
        return type(self), partition, path, request.get_host(), request.scheme, request.version, query, form


@cache
def _warn_without_app() -> None:
    """Warn once in each process if other processes may not know which models are live."""
    if not apps.is_installed("adrf_sse"):
        logger.warning(
            "Live lists need 'adrf_sse' in INSTALLED_APPS, which does not contain it. Without the app, changes in a "
            "process that imports no views, such as a shell or a task queue, are not announced. Add it."
        )


def _model_of(viewset: type) -> type[models.Model] | None:
    queryset = getattr(viewset, "queryset", None)
    if queryset is not None:
        model: type[models.Model] = queryset.model
        return model
    meta = getattr(getattr(viewset, "serializer_class", None), "Meta", None)
    return getattr(meta, "model", None)


def _check_key(viewset: Any, model: type[models.Model]) -> None:
    fields: Any = getattr(model._meta, "pk_fields", ())  # since Django 5.2
    if len(fields) > 1:
        names = ", ".join(field.name for field in fields)
        raise TypeError(
            f"{viewset.__name__} must have a model whose primary key is one field, got {model.__name__} with {names}. "
            "Leave out LiveModelMixin, or give the model a primary key of one field."
        )


def _value_of(user: Any, model: type[models.Model], name: str) -> Any:
    """Return what the field contains in the user's rows: the user's primary key, or the key that it refers to."""
    target: Any = getattr(model._meta.get_field(name), "target_field", None)
    return getattr(user, "pk" if target is None or target.primary_key else target.attname, None)


def _check_field(viewset: Any, model: type[models.Model]) -> None:
    if viewset.live_by is None:
        return
    names = sorted(field.name for field in model._meta.concrete_fields)
    if viewset.live_by not in names:
        raise TypeError(
            f"live_by of {viewset.__name__} must be a field of {model.__name__}, got {viewset.live_by!r}. "
            f"Choose one of {', '.join(names)}."
        )


def _data_renderer_of(renderer: BaseRenderer) -> type[BaseRenderer]:
    return getattr(renderer, "data_renderer_class", EventStreamRenderer.data_renderer_class)
