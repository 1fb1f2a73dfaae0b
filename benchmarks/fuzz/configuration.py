"""Settings, options and brokers: bad values are errors that name the key, and never anything else."""

from random import Random
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from adrf_sse.brokers import _create
from adrf_sse.settings import _KEYS, validated
from adrf_sse.streams.options import OPTIONS, options
from benchmarks.fuzz.kinds import Kind, expect
from benchmarks.fuzz.values import any_text, surprise, text

BACKENDS = ["adrf_sse.brokers.memory.MemoryBroker", "adrf_sse.brokers.redis.RedisBroker"]
URLS = [
    "redis://",
    "rediss://",
    "unix://",
    "redis://h:6379/0",
    "redis://:secret@[::1]:x/0",
    "redis://a:b@c:99999/d",
    "http://",
]


def make_settings(random: Random) -> Any:
    """Return the setting: a dict, mostly."""
    if random.random() < 0.02:
        return surprise(random)
    keys = [
        random.choice(sorted(_KEYS)) if random.random() < 0.9 else any_text(random) for _ in range(random.randrange(4))
    ]
    return {key: surprise(random) for key in keys}


def check_settings(values: Any) -> None:
    """Check that each value is used or refused by name, and that what is used is valid."""
    result, problems = validated(values)
    expect(set(result) == set(_KEYS), "other keys than the settings:", result)
    expect(validated(result) == (result, []), "what is used is refused:", result)
    if not isinstance(values, dict):
        expect(problems and "ADRF_SSE" in problems[0], "not refused:", problems)
        return
    for key, value in values.items():
        named = [problem for problem in problems if repr(key) in problem]
        expect(key in _KEYS or named, "an unknown key is not named:", key, problems)
        alone = validated({key: value})[1]
        expect(len(alone) <= 1 and all(repr(key) in problem for problem in alone), "the key is not named:", alone)
    expect(len(problems) <= len(values), "more problems than values:", problems)


def make_options(random: Random) -> dict[str, Any]:
    """Return options of a stream."""
    names = [
        random.choice(sorted(OPTIONS)) if random.random() < 0.95 else text(random) for _ in range(random.randrange(4))
    ]
    return {name: surprise(random) for name in names}


def check_options(given: dict[str, Any]) -> None:
    """Check that options are used, or refused with the name of one of them."""
    try:
        options(given)
    except (TypeError, ValueError) as exc:
        expect(any(name in str(exc) or repr(name) in str(exc) for name in given), "no option in", exc)


def make_broker(random: Random) -> dict[str, Any]:
    """Return the setting of a broker."""
    keys = random.sample(["url", "prefix", "sentinels", "service", "socket_timeout", "db", "port", text(random)], 2)
    given = {key: surprise(random) if random.random() < 0.6 else random.choice([*URLS, text(random)]) for key in keys}
    return {
        "BACKEND": random.choice([*BACKENDS, *BACKENDS, text(random)]),
        "OPTIONS": {} if random.random() < 0.1 else given,
    }


def check_broker(value: dict[str, Any]) -> None:
    """Check that a broker is created, or refused as ``manage.py check`` reports it."""
    try:
        _create(**value)
    except ImproperlyConfigured as exc:
        expect("ADRF_SSE['BROKER']" in str(exc), "the key is not named:", exc)


KINDS = [
    Kind("settings", 0.1, make_settings, check_settings),
    Kind("options", 0.05, make_options, check_options),
    Kind("broker", 0.01, make_broker, check_broker),
]
