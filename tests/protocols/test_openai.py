"""OpenAI's clients read chat completions and responses."""

import pytest

from tests.protocols.conftest import Package
from tests.protocols.prompts import FAILING, WHOLE

openai = Package("openai")


@pytest.fixture
def client(url):
    with openai.OpenAI(base_url=f"{url}/openai", api_key="none", max_retries=0) as client:
        yield client


def chat(client, prompt, stream=True):
    return client.chat.completions.create(model="words", messages=[{"role": "user", "content": prompt}], stream=stream)


def respond(client, prompt):
    return client.responses.create(model="words", input=prompt, stream=True)


def text(chunk):
    return chunk.choices[0].delta.content or chunk.choices[0].finish_reason


def test_a_whole_chat_completion(client):
    assert [text(chunk) for chunk in chat(client, WHOLE)] == ["one ", "pause ", "two ", "stop"]


def test_a_chat_completion_that_is_not_streamed(client):
    assert chat(client, WHOLE, stream=False).choices[0].message.content == "one pause two "


def test_a_failed_chat_completion_is_an_api_error(client):
    chunks = chat(client, FAILING)
    assert text(next(chunks)) == "one "
    with pytest.raises(openai.APIError, match="The model has failed") as raised:
        next(chunks)
    assert raised.value.type == "server_error"


def test_an_aborted_chat_completion_stops_the_model(client, endless_prompt, wait_until_stopped):
    with chat(client, endless_prompt) as chunks:
        assert text(next(chunks)) == "one "
    wait_until_stopped(endless_prompt)


def test_a_whole_response(client):
    with client.responses.stream(model="words", input=WHOLE) as stream:
        assert stream.get_final_response().output_text == "one pause two "


def test_a_failed_response_ends_with_the_protocols_error(client):
    *_, delta, error = respond(client, FAILING)
    assert (delta.delta, error.type, error.code) == ("one ", "error", "server_error")


def test_an_aborted_response_stops_the_model(client, endless_prompt, wait_until_stopped):
    with respond(client, endless_prompt) as stream:
        assert next(event.delta for event in stream if event.type == "response.output_text.delta") == "one "
    wait_until_stopped(endless_prompt)


def test_chat_completions_in_node(in_node, wait_until_stopped):
    seen = in_node("openai")
    assert seen["chat"] == {"seen": ["one ", "pause ", "two ", "stop"]}
    assert seen["chatWithoutStream"] == "one pause two "
    assert seen["chatThatFails"] == {"seen": ["one "], "error": "APIError", "type": "server_error"}
    wait_until_stopped(seen["chatThatIsAborted"])


def test_responses_in_node(in_node, wait_until_stopped):
    seen = in_node("openai")
    assert seen["response"] == "one pause two "
    assert seen["responseThatFails"]["seen"][-2:] == ["one ", "error"]
    wait_until_stopped(seen["responseThatIsAborted"])
