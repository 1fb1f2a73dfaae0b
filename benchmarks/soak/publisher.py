"""The publisher: a process that publishes numbered events, and reports the IDs of those that were stored."""

import time
from multiprocessing.connection import Connection
from random import Random

import django

CHANNELS = [f"soak.{number}" for number in range(6)]

BURST = 60
"""Events that are published at once, now and then."""

PAUSE = 0.04
"""Seconds between two events or bursts, at most."""


def publish_events(pipe: Connection, seed: str, channels: list[str] = CHANNELS, pause: float = PAUSE) -> None:
    """Publish until the pipe says to stop. Then publish one more event to each channel, and close the pipe."""
    django.setup()
    from adrf_sse.channels import publish
    from adrf_sse.exceptions import BrokerUnavailable

    random, number = Random(seed), 0

    def send(channel: str) -> bool:
        nonlocal number
        number += 1
        try:
            data = {"n": number, "at": time.monotonic_ns(), "filler": "x" * random.choice([0, 10, 1000])}
            pipe.send((channel, publish(channel, data)))
        except BrokerUnavailable:
            return False  # It may or may not be stored, so nobody has to receive it.
        return True

    while not pipe.poll():
        for _ in range(BURST if random.random() < 0.005 else 1):
            send(random.choice(channels))
        time.sleep(random.uniform(0, pause))
    for channel in channels:
        while not send(channel):
            time.sleep(0.1)
    pipe.send(None)
    pipe.close()
