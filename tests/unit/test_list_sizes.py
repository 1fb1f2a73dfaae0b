"""Tests of the estimate of the memory that a list of events takes while it is rendered."""

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adrf_sse.events.list_sizes import rendered_size
from adrf_sse.renderers.list_response import _parsed

COUNT = 3_000


def nested(depth, wrap=lambda value: [value], value=()):
    for _ in range(depth):
        value = wrap(value)
    return value


VALUES = {
    "small numbers": [0] * COUNT,
    "numbers": list(range(1000, 1000 + COUNT)),
    "fractions": [number + 0.5 for number in range(COUNT)],
    "long numbers": [10**400] * 100,
    "constants": [None, True, False] * COUNT,
    "empty lists": [[]] * COUNT,
    "empty dicts": [{}] * COUNT,
    "lists with one element": [[1000]] * COUNT,
    "lists with five elements": [[1000] * 5] * 1000,
    "deep lists": [nested(300)] * 10,
    "deep dicts": [nested(300, lambda value: {"": value})] * 10,
    "dicts with one key": [{f"key {number}": number} for number in range(COUNT)],
    "dicts with six keys": [{str(key): 1000 + key for key in range(6)}] * 1000,
    "one dict": {str(number): 1000 + number for number in range(11_000)},
    "empty strings": [""] * COUNT,
    "short strings": [f"a{number}" for number in range(COUNT)],
    "accents": [f"é{number}" for number in range(COUNT)],
    "snowmen": ["☃☃"] * COUNT,
    "an emoji in each string": ["😀 and a text in ASCII"] * COUNT,
    "an emoji in a long string": "😀" + "a" * 100_000,
    "a long string": "a" * 100_000,
    "quotes": '"' * 10_000,
}


def line_of(value, **options):
    return json.dumps(value, separators=(",", ":"), **options).encode() + b"\n"


def memory_of(lines, indent=None):
    """Return the bytes of memory in use, at most, while a list is parsed and rendered, and those of its lines."""
    started = not tracemalloc.is_tracing()
    if started:
        tracemalloc.start()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    json.dumps(_parsed([lines]), indent=indent, ensure_ascii=False, separators=(",", ":")).encode()
    used = tracemalloc.get_traced_memory()[1] - before
    if started:
        tracemalloc.stop()
    return used + len(lines)


@pytest.mark.parametrize("ascii", [True, False])
@pytest.mark.parametrize("indent", [None, 8])
@pytest.mark.parametrize("name", VALUES)
def test_a_list_takes_no_more_memory_than_estimated(name, indent, ascii):
    value = VALUES[name]
    lines = line_of({"event": "a", "data": value}, ensure_ascii=ascii)
    if isinstance(value, list):
        lines += b"".join(line_of(each, ensure_ascii=ascii) for each in value)
    assert memory_of(lines, indent) <= rendered_size(lines, indent or 0) + 20_000


@pytest.mark.parametrize("name", VALUES)
def test_the_estimate_is_at_most_thirty_times_what_the_list_takes(name):
    """Most of the difference is in small numbers, which Python shares, and in strings of separators."""
    lines = line_of(VALUES[name])
    assert rendered_size(lines) < 30 * memory_of(lines)


def test_an_ordinary_event_is_estimated_at_less_than_four_times_what_it_takes():
    lines = line_of({"event": "price", "id": "12", "data": {"eur": 1.5, "name": "abc", "tags": ["a", "b"]}}) * COUNT
    assert rendered_size(lines) < 4 * memory_of(lines)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)


@settings(max_examples=50)
@given(values, st.sampled_from([None, 1, 8]), st.booleans())
def test_any_list_takes_no_more_memory_than_estimated(value, indent, ascii):
    lines = line_of(value, ensure_ascii=ascii) * 200
    assert memory_of(lines, indent) <= rendered_size(lines, indent or 0) + 20_000
