"""Channels in code that is no view."""

from collections.abc import AsyncIterator
from typing import assert_type

from django.contrib.auth.models import User
from django.db import transaction

from adrf_sse.brokers import get_broker
from adrf_sse.channels import Subscription, adisconnect, apublish, disconnect, publish, subscribe, subscriber_counts
from adrf_sse.events import ServerSentEvent
from adrf_sse.exceptions import BrokerUnavailable, SubscriberLagged


def pay(pk: int) -> int | None:
    try:
        return publish(f"orders.{pk}", {"status": "paid"}, event="order")
    except BrokerUnavailable as exc:
        print(exc.problem, exc.wait)
        return None


async def ship(pk: int) -> int | None:
    assert_type(publish("news", "text"), int | None)
    assert_type(await apublish("news", ["a", 1]), int | None)
    return await apublish(f"orders.{pk}", None, event="order")


def comment(author: User) -> int:
    number = publish("comments", {"by": author.pk}, event="comment", skip_user=author)
    if number is None:
        raise RuntimeError("comment() must be called outside of transactions.")
    return number


def announce_commit(author: User) -> None:
    if get_broker().joins_transaction("default"):
        publish("comments", {"by": author.pk})
    else:
        transaction.on_commit(lambda: publish("comments", {"by": author.pk}))


async def comments_for(reader: User) -> AsyncIterator[ServerSentEvent]:
    async with subscribe("comments", user=reader) as events:
        async for event in events:
            yield event


async def names(after: int | str | None) -> AsyncIterator[str]:
    subscription = subscribe("orders.1", "news", last_event_id=after)
    assert_type(subscription, Subscription)
    try:
        async with subscription as events:
            async for event in events:
                yield event.event or "message"
                yield event.channel
    except SubscriberLagged as exc:
        print(exc)


async def first_event(channel: str) -> ServerSentEvent:
    async with subscribe(channel) as events:
        return await anext(events)


def busiest() -> str:
    counts = subscriber_counts()
    return max(counts, key=lambda name: counts[name])


def remove(user: User, pk: int) -> None:
    disconnect(user=user, channel=f"orders.{pk}")
    disconnect(user=user.pk)


async def close_shop() -> None:
    await adisconnect(view="shop:orders")
