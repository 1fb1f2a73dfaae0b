"""The assistant: its page, and its answers, which are runs."""

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers

from adrf_sse.views import RunView
from assistant.model import think
from streams.pages import Page

MAX_LENGTH = 1000
"""Characters of a prompt at most."""


class PromptSerializer(serializers.Serializer):
    prompt = serializers.CharField(max_length=MAX_LENGTH)


class PhraseSerializer(serializers.Serializer):
    text = serializers.CharField()


class AssistantPage(Page):
    template_name = "assistant/assistant.html"
    stream = "assistant-runs"

    def get_context_data(self, **kwargs):
        return super().get_context_data(max_length=MAX_LENGTH, **kwargs)


@extend_schema_view(post=extend_schema(request=PromptSerializer))
class Assistant(RunView):
    """Answer a prompt word by word. The model goes on when its client leaves, until it has finished or is stopped.

    The first event is the question, so that every client that follows the run can show it.
    """

    event_serializers = {"question": PhraseSerializer, "word": PhraseSerializer}

    async def run(self, request, *args, **kwargs):
        prompt = PromptSerializer(data=request.data)
        prompt.is_valid(raise_exception=True)
        text = prompt.validated_data["prompt"]
        yield "question", {"text": text}
        async for word in think(text):
            yield "word", {"text": word}
