"""The chat transport of Vercel's AI SDK reads UI message streams."""

import pytest

pytestmark = [pytest.mark.server, pytest.mark.protocols]


def test_a_whole_message(in_node):
    seen = in_node("ui_messages")["whole"]
    assert (seen["texts"][-1], seen["errors"]) == ("one pause two ", [])


def test_a_failed_message_ends_with_the_protocols_error(in_node):
    seen = in_node("ui_messages")["failing"]
    assert (seen["texts"][-1], seen["errors"]) == ("one ", ["The model has failed."])


def test_an_aborted_message_stops_the_model(in_node, wait_until_stopped):
    wait_until_stopped(in_node("ui_messages")["aborted"])
