"""A stream that answers what is posted to it, as a language model would: word by word."""

import asyncio

from adrf.generics import GenericAPIView
from django.conf import settings
from rest_framework import serializers

from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer
from adrf_sse.views import EventStreamMixin


class Text(serializers.Serializer):
    """What is to be said."""

    text = serializers.CharField(max_length=1000)


class Words(EventStreamMixin, GenericAPIView):
    """Says a text again, word by word. In a browser, REST framework's form sends it."""

    renderer_classes = [EventStreamRenderer, EventStreamConsoleRenderer]
    serializer_class = Text

    async def post(self, request):
        text = Text(data=request.data)
        text.is_valid(raise_exception=True)
        for word in text.validated_data["text"].split():
            yield "word", {"word": word}
            await asyncio.sleep(settings.EXAMPLE_TICK / 5)
        yield "done", {}
