"""The exceptions of the package."""

from adrf_sse.exceptions import (
    BrokerUnavailable,
    ServerStopping,
    SubscriberLagged,
    TooManyLists,
    TooManySyncStreams,
    Unavailable,
)


def advice(error: Exception) -> str:
    match error:
        case BrokerUnavailable():
            return error.problem
        case ServerStopping() | TooManyLists() | TooManySyncStreams() | Unavailable():
            return f"Try again in {error.wait} s."
        case SubscriberLagged():
            return str(error)
        case _:
            return "Unknown."
