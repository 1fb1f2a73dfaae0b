import ast
import inspect
import re
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from adrf_sse.checks import check_settings
from adrf_sse.settings import Settings, setting_problems, sse_settings

KEYS = (
    "BROKER, CHANNEL_HISTORY, CHANNEL_TTL, CLEANUP_TIMEOUT, FIRST_EVENT_TIMEOUT, HEARTBEAT, MAX_DURATION, "
    "MAX_EVENT_SIZE, MAX_RUNS, MAX_STREAMS, MAX_SUBSCRIBER_BACKLOG, MAX_SYNC_STREAMS, RECONNECT_RATE, RETRY, "
    "RUN_GRACE, RUN_LEASE, RUN_MAX_SIZE, RUN_START_TIMEOUT, RUN_TTL, SEND_TIMEOUT, SHUTDOWN_RETRY_SPREAD, "
    "STREAM_THREADS"
)

REFUSED = [
    ([], "ADRF_SSE must be a dict, got []. Write ADRF_SSE = {...}."),
    ({"HEARTBEATS": 3}, f"ADRF_SSE must have only the keys {KEYS}, got 'HEARTBEATS'. Remove or rename it."),
    (
        {"HEARTBEAT": 0},
        "ADRF_SSE['HEARTBEAT'] is invalid: HEARTBEAT must be more than 0 seconds, got 0. "
        "Use a finite number of seconds.",
    ),
    (
        {"HEARTBEAT": "15"},
        "ADRF_SSE['HEARTBEAT'] is invalid: HEARTBEAT must be a number of seconds or a timedelta, got '15'. "
        "Use a number, such as 15.",
    ),
    (
        {"RETRY": 1.5},
        "ADRF_SSE['RETRY'] is invalid: RETRY must be a whole number of milliseconds or a timedelta, got 1.5. "
        "Use an int, such as 3000.",
    ),
    (
        {"FIRST_EVENT_TIMEOUT": -1},
        "ADRF_SSE['FIRST_EVENT_TIMEOUT'] is invalid: FIRST_EVENT_TIMEOUT must be 0 or more seconds, got -1. "
        "Use a finite number of seconds.",
    ),
    (
        {"CLEANUP_TIMEOUT": float("inf")},
        "ADRF_SSE['CLEANUP_TIMEOUT'] is invalid: CLEANUP_TIMEOUT must be more than 0 seconds, got inf. "
        "Use a finite number of seconds.",
    ),
    (
        {"MAX_SYNC_STREAMS": 0},
        "ADRF_SSE['MAX_SYNC_STREAMS'] is invalid: MAX_SYNC_STREAMS must be 1 or more, got 0. Use a positive number.",
    ),
    (
        {"SHUTDOWN_RETRY_SPREAD": 5},
        "ADRF_SSE['SHUTDOWN_RETRY_SPREAD'] is invalid: SHUTDOWN_RETRY_SPREAD must be a pair of milliseconds, got 5. "
        "Use two ints, such as (1000, 5000).",
    ),
    (
        {"SHUTDOWN_RETRY_SPREAD": (5, 1)},
        "ADRF_SSE['SHUTDOWN_RETRY_SPREAD'] is invalid: SHUTDOWN_RETRY_SPREAD must be (shortest, longest), got (5, 1). "
        "Swap the two values.",
    ),
    (
        {"BROKER": "memory"},
        'ADRF_SSE[\'BROKER\'] is invalid: BROKER must be {"BACKEND": "path.to.Class", "OPTIONS": {...}}, got '
        "a value of the type str. Set BACKEND to a class.",
    ),
    (
        {"BROKER": {"OPTIONS": {"url": "redis://:hunter2@host"}}},
        'ADRF_SSE[\'BROKER\'] is invalid: BROKER must be {"BACKEND": "path.to.Class", "OPTIONS": {...}}, got '
        "a dict with the keys OPTIONS. Set BACKEND to a class.",
    ),
    (
        {"BROKER": {"BACKEND": "x.Y", "LOCATION": "z"}},
        "ADRF_SSE['BROKER'] is invalid: BROKER must have only BACKEND and OPTIONS, got LOCATION. Move it to OPTIONS.",
    ),
    (
        {"BROKER": {"BACKEND": "x.Y", "OPTIONS": []}},
        "ADRF_SSE['BROKER'] is invalid: BROKER['OPTIONS'] must be a dict with str keys, got a value of the type list. "
        "Use {} for no options.",
    ),
    (
        {"MAX_SYNC_STREAMS": True},
        "ADRF_SSE['MAX_SYNC_STREAMS'] is invalid: MAX_SYNC_STREAMS must be a whole number, got True. Use an int.",
    ),
]


@pytest.mark.parametrize(("value", "message"), REFUSED)
def test_an_invalid_setting_is_reported_by_the_check_and_when_it_is_read(value, message):
    with override_settings(ADRF_SSE=value):
        assert [(error.id, error.msg) for error in check_settings(None)] == [("adrf_sse.E001", message)]
        with pytest.raises(ImproperlyConfigured) as caught:
            _ = sse_settings.HEARTBEAT
        assert str(caught.value) == message
        with pytest.raises(SystemCheckError, match=r"adrf_sse\.E001"):
            call_command("check")


def test_all_invalid_settings_are_reported_together():
    with override_settings(ADRF_SSE={"A": 1, "HEARTBEAT": -1}):
        assert len(setting_problems()) == 2


def test_override_settings_changes_settings_and_restores_the_defaults():
    assert sse_settings.HEARTBEAT == 15
    with override_settings(ADRF_SSE={"HEARTBEAT": None, "RETRY": 100}):
        assert (sse_settings.HEARTBEAT, sse_settings.RETRY) == (None, 100)
    assert (sse_settings.HEARTBEAT, sse_settings.RETRY) == (15, None)


def test_an_unknown_setting_raises_attribute_error():
    with pytest.raises(AttributeError, match="ADRF_SSE has no key 'NOPE'"):
        _ = sse_settings.NOPE


HUGE = 10**5000
"""An int that no float holds, and that Python does not print."""


@pytest.mark.parametrize(
    "key",
    ["HEARTBEAT", "RETRY", "FIRST_EVENT_TIMEOUT", "MAX_DURATION", "SEND_TIMEOUT", "CLEANUP_TIMEOUT", "STREAM_THREADS",
     "MAX_SYNC_STREAMS", "CHANNEL_HISTORY", "CHANNEL_TTL", "MAX_SUBSCRIBER_BACKLOG", "MAX_EVENT_SIZE"],
)  # fmt: skip
@pytest.mark.parametrize("value", [HUGE, 10**400, -HUGE, {"a": HUGE}], ids=["huge", "large", "negative", "inside"])
def test_a_number_that_is_too_large_is_a_problem_that_names_the_key(key, value):
    with override_settings(ADRF_SSE={key: value}):
        [problem] = setting_problems()
    assert problem.startswith(f"ADRF_SSE['{key}'] is invalid: {key} must be ")


@pytest.mark.parametrize("key", ["BROKER", "SHUTDOWN_RETRY_SPREAD"])
@pytest.mark.parametrize("value", [HUGE, (HUGE, HUGE), (1, HUGE), (HUGE, 1)], ids=["int", "both", "last", "first"])
def test_a_pair_or_a_dict_that_is_too_large_is_a_problem_that_names_the_key(key, value):
    with override_settings(ADRF_SSE={key: value}):
        [problem] = setting_problems()
    assert problem.startswith(f"ADRF_SSE['{key}'] is invalid: {key} must be ")


@pytest.mark.parametrize("values", [HUGE, [HUGE], {HUGE: 1}], ids=["an int", "a list", "a key"])
def test_settings_that_python_does_not_print_are_a_problem(values):
    with override_settings(ADRF_SSE=values):
        [problem] = setting_problems()
    assert "got a value of the type " in problem


def documentation():
    """Return the line under each key of the table of settings."""
    statements = ast.parse(inspect.getsource(Settings)).body[0].body[1:]
    pairs = zip(statements[::2], statements[1::2], strict=True)
    return {key.targets[0].id: " ".join(text.value.value.split()) for key, text in pairs}


def shown(default):
    if isinstance(default, dict):
        return f"`{default['BACKEND'].rpartition('.')[2]}`"
    if isinstance(default, float):
        return f"{default:.0f} s"
    return str(default) if isinstance(default, int) else f"`{default}`"


def test_the_page_of_settings_shows_the_table_of_settings():
    rows = [
        f"| `{key}` | {shown(getattr(Settings, key).default)} | {meaning.replace('``', '`')} |"
        for key, meaning in documentation().items()
    ]
    page = (Path(__file__).resolve().parents[2] / "docs" / "settings.md").read_text()
    without_links = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", page)
    assert [line for line in without_links.splitlines() if line.startswith("| `")] == rows
    assert ", ".join(sorted(documentation())) == KEYS
