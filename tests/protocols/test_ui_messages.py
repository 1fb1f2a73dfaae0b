"""The chat transport of Vercel's AI SDK reads UI message streams."""


def test_a_whole_message(in_node):
    seen = in_node("ui_messages")["whole"]
    assert (seen["texts"][-1], seen["errors"]) == ("one pause two ", [])


def test_a_failed_message_ends_with_the_protocols_error(in_node):
    seen = in_node("ui_messages")["failing"]
    assert (seen["texts"][-1], seen["errors"]) == ("one ", ["The model has failed."])


def test_an_aborted_message_stops_the_model(in_node, wait_until_stopped):
    wait_until_stopped(in_node("ui_messages")["aborted"])


def test_a_whole_message_of_a_chat_that_can_be_resumed(in_node):
    seen = in_node("ui_messages")["wholeOfResumable"]
    assert (seen["texts"][-1], seen["errors"]) == ("one pause two ", [])


def test_a_failed_message_of_a_chat_that_can_be_resumed(in_node):
    seen = in_node("ui_messages")["failingOfResumable"]
    assert (seen["texts"][-1], seen["errors"]) == ("one ", ["The model has failed."])


def test_a_client_that_resumes_gets_the_message_from_its_beginning(in_node):
    assert in_node("ui_messages")["resumed"] == "one two three "


def test_there_is_nothing_to_resume_after_the_end(in_node):
    assert in_node("ui_messages")["resumedAfterTheEnd"] is None
