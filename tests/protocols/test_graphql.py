"""graphql-sse's client subscribes."""


def test_a_whole_subscription(in_node):
    assert in_node("graphql")["whole"] == ["one ", "pause ", "two "]


def test_a_failed_subscription_ends_with_the_protocols_error(in_node):
    assert in_node("graphql")["failing"] == ["one ", "The model has failed."]


def test_an_aborted_subscription_stops_the_model(in_node, wait_until_stopped):
    wait_until_stopped(in_node("graphql")["aborted"])
