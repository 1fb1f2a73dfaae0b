"""The exceptions of the package.

    rest_framework.exceptions.APIException
    ├── Unavailable               503: the client should try again later
    │   ├── BrokerUnavailable     the broker can't publish an event or read the history
    │   ├── ServerStopping        the server is shutting down: it can't collect a stream, or start a run
    │   ├── TooManyRuns           the process has MAX_RUNS runs
    │   └── TooManyStreams        the process has MAX_STREAMS streams
    │       ├── TooManyLists          too many streams are being collected as JSON lists
    │       └── TooManySyncStreams    all threads for synchronous sources are in use
    ├── RunConflict               409: another run with the ID is active
    ├── RunLost                   what produced a run has died or lost the broker, or nothing began to produce it
    └── RunTooLarge               a run has more than RUN_MAX_SIZE bytes of events
    rest_framework.exceptions.NotFound
    └── RunNotFound               404: there is no such run, or no longer
    rest_framework.exceptions.Throttled
    └── TooManyClientStreams      429: the client has reached the limit of ConcurrentStreamThrottle
    Exception
    └── SubscriberLagged          a subscriber fell too far behind

Invalid values raise ``TypeError`` or ``ValueError``. Invalid settings raise Django's ``ImproperlyConfigured``.
"""

from rest_framework import status
from rest_framework.exceptions import APIException, NotFound, Throttled


class Unavailable(APIException):
    """The server can't handle the request at the moment. The response is a 503 with ``Retry-After``."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE

    wait = 5
    """The value of ``Retry-After`` in seconds. REST framework reads the attribute by this name."""


class ServerStopping(Unavailable):
    """The server shuts down. It can't read a stream to its end, to return it as a list, and starts no more runs."""

    default_detail = "The server is stopping. Try again later."
    default_code = "server_stopping"


class TooManyStreams(Unavailable):
    """``MAX_STREAMS`` streams are already open in this process."""

    default_detail = "Too many streams are open. Try again later."
    default_code = "too_many_streams"


class TooManyLists(TooManyStreams):
    """The process already collects, renders and sends as many streams as JSON lists as it may."""

    default_code = "too_many_lists"


class TooManySyncStreams(TooManyStreams):
    """``MAX_SYNC_STREAMS`` synchronous sources are already running in this process."""

    default_code = "too_many_sync_streams"


class TooManyRuns(Unavailable):
    """``MAX_RUNS`` runs are already active in this process."""

    default_detail = "Too many runs are active. Try again later."
    default_code = "too_many_runs"


class RunConflict(APIException):
    """Another run with the same ID is active."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "This run is already active."
    default_code = "run_conflict"


class RunLost(APIException):
    """Nothing produces a run any longer.

    What produced it has died, or could not reach the broker for ``RUN_LEASE`` seconds, or nothing began to produce it
    within ``RUN_START_TIMEOUT`` seconds.
    """

    default_detail = "The run was lost. Start it again."
    default_code = "run_lost"


class RunTooLarge(APIException):
    """A run has more than ``RUN_MAX_SIZE`` bytes of events."""

    default_detail = "The run has too many events."
    default_code = "run_too_large"


class RunNotFound(NotFound):
    """There is no run with the ID, or it was removed ``RUN_TTL`` after its end."""

    default_detail = "This run was not found."
    default_code = "run_not_found"


class TooManyClientStreams(Throttled):
    """The client has as many open streams in this process as ``ConcurrentStreamThrottle`` lets it have."""

    default_detail = "You have too many open streams. Close one, or try again later."

    def __init__(self, wait: int) -> None:
        super().__init__()
        self.wait = wait
        """The value of ``Retry-After`` in seconds."""


class BrokerUnavailable(Unavailable):
    """The broker is not available. An event that was being published may or may not have been published.

    ``str()`` returns the problem and what to check, for logs. If a view doesn't catch the exception, the response is a
    503 without these details.
    """

    default_detail = "Events are not available at the moment. Try again later."
    default_code = "broker_unavailable"

    def __init__(self, problem: str) -> None:
        super().__init__()
        self.problem = problem
        """What failed, and what to check."""

    def __str__(self) -> str:
        return self.problem


class SubscriberLagged(Exception):
    """A subscriber fell more than ``MAX_SUBSCRIBER_BACKLOG`` events behind and receives no more events.

    Don't catch this exception in the source of a stream. It ends the stream with the reason ``timeout``, and the client
    reconnects with its last event ID.
    """

    def __init__(self, last_event_id: int | None) -> None:
        super().__init__(
            "a subscriber must read events as fast as they are published, got more than MAX_SUBSCRIBER_BACKLOG events "
            f"that it has not read. Subscribe again with last_event_id={last_event_id}."
        )
