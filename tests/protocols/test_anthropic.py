"""Anthropic's clients read messages."""

import pytest

from tests.protocols.conftest import Package
from tests.protocols.prompts import FAILING, WHOLE

anthropic = Package("anthropic")


@pytest.fixture
def ask(url):
    with anthropic.Anthropic(base_url=f"{url}/anthropic", api_key="none", max_retries=0) as client:
        yield lambda prompt: client.messages.stream(
            model="words", max_tokens=100, messages=[{"role": "user", "content": prompt}]
        )


def test_a_whole_message(ask):
    with ask(WHOLE) as stream:
        assert list(stream.text_stream) == ["one ", "pause ", "two "]
        message = stream.get_final_message()
    assert message.content[0].text == "one pause two "
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 3)


def test_a_failed_message_is_an_api_error(ask):
    with ask(FAILING) as stream:
        assert next(stream.text_stream) == "one "
        with pytest.raises(anthropic.APIStatusError) as raised:
            stream.get_final_message()
    assert raised.value.body["error"] == {"type": "api_error", "message": "The model has failed."}


def test_an_aborted_message_stops_the_model(ask, endless_prompt, wait_until_stopped):
    with ask(endless_prompt) as stream:
        assert next(stream.text_stream) == "one "
    wait_until_stopped(endless_prompt)


def test_a_whole_message_in_node(in_node):
    assert in_node("anthropic")["whole"] == {"seen": ["one ", "pause ", "two "], "final": "one pause two "}


def test_a_failed_message_in_node(in_node):
    seen = in_node("anthropic")["failing"]
    assert (seen["seen"], seen["error"]["error"]["message"]) == (["one "], "The model has failed.")


def test_an_aborted_message_in_node_stops_the_model(in_node, wait_until_stopped):
    wait_until_stopped(in_node("anthropic")["aborted"])
