import ast
import inspect
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import override_settings

from adrf_sse.streams.options import OPTIONS, StreamOptions, options

NAMES = "heartbeat, retry, first_event_timeout, max_duration, send_timeout, reauthorize_interval, finite, error_event"
REFUSED = [
    ({"hearbeat": 3}, TypeError, f"options must be among {NAMES}, got 'hearbeat'. Remove or rename it."),
    ({"heartbeat": 0}, ValueError, "heartbeat must be more than 0 seconds, got 0. Use a finite number of seconds."),
    ({"heartbeat": True}, TypeError,
     "heartbeat must be a number of seconds or a timedelta, got True. Use a number, such as 15."),
    ({"retry": -1}, ValueError, "retry must be 0 ms or more, got -1. Use a delay that is not negative."),
    ({"first_event_timeout": None}, TypeError,
     "first_event_timeout must be a number of seconds or a timedelta, got None. Use a number, such as 15."),
    ({"finite": 1}, TypeError, "finite must be True or False, got 1. Use a bool."),
    ({"error_event": ""}, ValueError,
     "error_event must be a non-empty str, got ''. Pass a name, or omit it to use the default."),
]  # fmt: skip


@pytest.mark.parametrize(("given", "error", "message"), REFUSED)
def test_an_invalid_option_is_refused(given, error, message):
    with pytest.raises(error) as caught:
        options(given)
    assert str(caught.value) == message


def test_omitted_options_are_read_from_the_settings():
    with override_settings(ADRF_SSE={"HEARTBEAT": 3, "RETRY": 500, "FIRST_EVENT_TIMEOUT": 0}):
        chosen = options({"heartbeat": None})
    assert chosen.heartbeat is None
    assert chosen.retry == 500
    assert chosen.first_event_timeout == 0
    assert chosen.finite is False
    assert chosen.error_event == "error"


def test_durations_can_be_timedeltas():
    chosen = options({"heartbeat": timedelta(minutes=1), "retry": timedelta(seconds=2)})
    assert (chosen.heartbeat, chosen.retry) == (60.0, 2000)


def documentation():
    """Return the line under each attribute of the table of options."""
    statements = ast.parse(inspect.getsource(StreamOptions)).body[0].body[1:]
    pairs = zip(statements[::2], statements[1::2], strict=True)
    return {option.target.id: " ".join(text.value.value.split()) for option, text in pairs}


def shown(default):
    if isinstance(default, float):
        return f"{default:g} s"
    return f'`"{default}"`' if isinstance(default, str) else f"`{default}`"


def test_the_page_of_options_shows_the_table_of_options():
    meanings = documentation()
    rows = [
        f"| `{name}` | {shown(option.default)} | {meanings[name].replace('``', '`')} |"
        for name, option in OPTIONS.items()
    ]
    page = Path(__file__).resolve().parents[2] / "docs" / "options.md"
    table = [line for line in page.read_text().splitlines() if line.startswith("| `")]
    assert table == rows
