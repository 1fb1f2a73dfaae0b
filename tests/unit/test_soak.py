"""The soak of ``benchmarks`` finds what is lost, repeated or out of order, and what has grown."""

import pytest

from benchmarks.soak.figures import growth
from benchmarks.soak.ledger import Ledger

CALM = {"memory": 80.0, "threads": 5, "descriptors": 20, "tasks": 5, "streams": 0}


@pytest.fixture
def ledger():
    ledger = Ledger()
    for id in range(1, 7):
        ledger.publish("a", id)
    return ledger


def problems(ledger):
    ledger.close()
    return {name: count for name, count in ledger.counts.items() if count and name not in ("published", "delivered")}


def follower(ledger, first, *ids):
    page = ledger.open(frozenset(["a"]))
    page.move(first)
    for id in ids:
        ledger.deliver(page, id)
    return page


def test_a_follower_that_received_everything_after_its_beginning_has_no_problem(ledger):
    follower(ledger, 2, 3, 4, 5)
    assert problems(ledger) == {}


def test_an_event_that_was_skipped_is_lost(ledger):
    follower(ledger, 2, 3, 5)
    assert problems(ledger) == {"lost": 1}
    assert ledger.examples == ["lost: event 4 of a, between 2 and 5"]


def test_a_position_says_that_nothing_before_it_is_missing(ledger):
    follower(ledger, 2).move(5)
    assert problems(ledger) == {"lost": 3}


def test_events_that_a_reset_announces_are_not_lost(ledger):
    page = follower(ledger, 2, 3)
    ledger.reset(page, 5)
    ledger.deliver(page, 6)
    assert problems(ledger) == {"resets": 1}


def test_an_event_that_came_twice_is_repeated(ledger):
    follower(ledger, 2, 3, 4, 4)
    assert problems(ledger) == {"repeated": 1}


def test_an_event_that_came_late_is_out_of_order(ledger):
    follower(ledger, 2, 4, 3)
    assert problems(ledger) == {"out of order": 1}


@pytest.mark.parametrize("key", CALM)
def test_each_figure_that_grows_is_named(key):
    assert growth(CALM, CALM, CALM) == []
    [found] = growth(CALM, CALM, {**CALM, key: CALM[key] * 2 + 10})
    assert found.startswith(f"{key} grew from ")
