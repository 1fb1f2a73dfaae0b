"""What the package raises.

    rest_framework.exceptions.APIException
    └── Unavailable               503, to be tried again later
        ├── BrokerUnavailable     an event can't be published, or history not be read
        ├── ServerStopping        the server was told to end while it collected a stream
        └── TooManySyncStreams    every thread for synchronous sources is taken
    Exception
    └── SubscriberLagged          a subscriber fell too far behind

Bad values are plain ``TypeError`` and ``ValueError``; bad settings are Django's ``ImproperlyConfigured``.
"""

from rest_framework import status
from rest_framework.exceptions import APIException


class Unavailable(APIException):
    """Refuse for now: goes out as 503 with ``Retry-After``."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE

    wait = 5
    """Seconds, sent as ``Retry-After`` (REST framework reads this name)."""


class ServerStopping(Unavailable):
    """Refuse a stream as a list because the server ends before the stream does."""

    default_detail = "The server is stopping. Try again later."
    default_code = "server_stopping"


class TooManySyncStreams(Unavailable):
    """Refuse a stream because ``MAX_SYNC_STREAMS`` synchronous sources already run in this process."""

    default_detail = "Too many streams are open. Try again later."
    default_code = "too_many_sync_streams"


class BrokerUnavailable(Unavailable):
    """Tell a publisher that its event may not have been published, because the broker did not say that it was.

    ``str()`` says what failed and what to check, for logs. Clients of a view that lets it pass get a 503 without that.
    """

    default_detail = "Events can't be published at the moment. Try again later."
    default_code = "broker_unavailable"

    def __init__(self, problem: str) -> None:
        super().__init__()
        self.problem = problem

    def __str__(self) -> str:
        return self.problem


class SubscriberLagged(Exception):
    """Tell a subscriber that it fell more than ``MAX_SUBSCRIBER_BACKLOG`` events behind, and gets no more.

    In a stream's source, let it pass: the stream ends with the reason ``timeout``, and its client comes back with the
    last id that it has.
    """

    def __init__(self, last_event_id: int | None) -> None:
        super().__init__(
            "a subscriber must read its events as fast as they come, got more than MAX_SUBSCRIBER_BACKLOG events "
            f"ahead of it. Subscribe again with last_event_id={last_event_id}."
        )
