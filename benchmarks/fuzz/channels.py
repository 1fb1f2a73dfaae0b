"""Channels: names, published events, and the last event IDs that clients send."""

import asyncio
import string
from random import Random
from typing import Any

from django.http import HttpRequest

from adrf_sse.brokers.messages import ChannelEvent, message_body
from adrf_sse.channels import apublish, subscribe
from adrf_sse.channels.channel import channel_name, channel_names
from adrf_sse.views.requests import last_event_id
from benchmarks.fuzz.encoding import expected_data, is_json, same
from benchmarks.fuzz.kinds import Kind, expect
from benchmarks.fuzz.reference import interpret
from benchmarks.fuzz.values import any_text, json_value, surprise

LETTERS = string.ascii_letters + string.digits + "._:-"
PATIENCE = 10
"""Seconds in which an event must arrive."""

_loop = asyncio.Runner()


def make_name(random: Random) -> Any:
    """Return the name of a channel, or what is none."""
    if random.random() < 0.5:
        return "".join(random.choices(LETTERS, k=random.choice([0, 1, 5, 199, 200, 201]))) + random.choice(
            ["", "", "\n", "é", " "]
        )
    return surprise(random)


def check_name(name: Any) -> None:
    """Check that exactly the names of the documentation are accepted."""
    valid = isinstance(name, str) and 1 <= len(name) <= 200 and all(character in LETTERS for character in name)
    for function in (channel_name, lambda name: channel_names([name])):
        try:
            function(name)
        except (TypeError, ValueError) as exc:
            expect(not valid and "channel" in str(exc), "a valid name is refused, or the refusal is unclear:", exc)
        else:
            expect(valid, "a name is accepted that is not valid")


def make_message(random: Random) -> tuple[Any, Any, Any, int]:
    """Return data, the name of an event, the key of a user to skip, and an id."""
    data = surprise(random) if random.random() < 0.2 else json_value(random)
    event = random.choice([None, "price", any_text(random), surprise(random)])
    user = random.choice([None, "7", any_text(random)])
    return data, event, user, random.randrange(10**16)


def check_message(message: tuple[Any, Any, Any, int]) -> None:
    """Check that a published event is refused, or that its frame and its fields are what was published."""
    data, name, user, number = message
    try:
        body = message_body(data, name, skip_user=user)
    except (TypeError, ValueError) as exc:
        expect(any(word in str(exc) for word in ("data", "event", "user")), "the refusal names nothing:", exc)
        return
    event = ChannelEvent("c", number, body)
    events = interpret(event.frame).events
    expect(len(events) == 1, "not one event:", event.frame)
    expect(events[0][0] == (name or "message") and events[0][2] == str(number), "the name or the id differs:", events)
    expect((event.event, event.id, event.skipped_user) == (name, str(number), user), "fields differ:", event)
    if is_json(data):
        expect(same(data, events[0][1]), "the frame's data differs:", events)
        expect(event.data == expected_data(data), "the data differs:", event.data)


def make_last_id(random: Random) -> tuple[Any, str]:
    """Return the last event ID of a header, and that of the query."""
    numbers = [str(random.randrange(10 ** random.choice([1, 15, 16, 17, 30]))), "0", "-1", "٣", "1e5", " 1", "9" * 5000]
    anything = any_text(random).encode("utf-8", "replace").decode()  # Requests can't contain lone surrogates.
    values = ["", anything, random.choice(numbers), "adrf-sse-end"]
    return random.choice([None, *values]), random.choice(values)


def check_last_id(ids: tuple[Any, str]) -> None:
    """Check that a client that sends the IDs receives the next event, after a ``reset`` at most."""
    header, query = ids
    request = HttpRequest()
    if header is not None:
        request.META["HTTP_LAST_EVENT_ID"] = header.encode("utf-8", "replace").decode("latin-1")
    request.GET = {"last_event_id": query}  # type: ignore[assignment]
    _loop.run(_receive_after(last_event_id(request)))


async def _receive_after(last_id: str | None) -> None:
    expect(last_id is None or isinstance(last_id, str), "not text:", last_id)
    async with asyncio.timeout(PATIENCE), subscribe("fuzz", last_event_id=last_id) as events:
        number = await apublish("fuzz", "next")
        async for event in events:
            if event.id == str(number):
                break
            expect(event.event == "reset" or event.data == "next", "another event:", event.event)


KINDS = [
    Kind("channel", 0.05, make_name, check_name),
    Kind("message", 0.06, make_message, check_message),
    Kind("last-id", 0.02, make_last_id, check_last_id),
]
