"""The event that tells a client of a failure: the detail of an ``APIException``, and nothing of any other error."""

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions

from adrf_sse.events.event import ServerSentEvent


def sole_cause(error: Exception) -> Exception:
    """Return the only error of a group, as a task group raises it. Return any other error as it is."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def failure_event(error: Exception, name: str) -> ServerSentEvent:
    """Return the event that reports a failure: ``{"detail": …, "code": …}``."""
    shown = _shown(error)
    return ServerSentEvent({"detail": shown.detail, "code": shown.get_codes()}, event=name)


def _shown(error: Exception) -> exceptions.APIException:
    match error:
        case exceptions.APIException():
            return error
        case Http404():
            return exceptions.NotFound()
        case PermissionDenied():
            return exceptions.PermissionDenied()
        case _:
            return exceptions.APIException()
