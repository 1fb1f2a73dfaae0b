"""A stream that returns the posted text word by word, as a language model does."""

import asyncio

from adrf.generics import GenericAPIView
from django.conf import settings
from rest_framework import serializers

from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer
from adrf_sse.views import EventStreamMixin


class Text(serializers.Serializer):
    """The posted text."""

    text = serializers.CharField(max_length=1000)


class Words(EventStreamMixin, GenericAPIView):
    """Return a text word by word. In a browser, send the text with REST framework's form."""

    renderer_classes = [EventStreamRenderer, EventStreamConsoleRenderer]
    serializer_class = Text

    async def post(self, request):
        text = Text(data=request.data)
        text.is_valid(raise_exception=True)
        for word in text.validated_data["text"].split():
            yield "word", {"word": word}
            await asyncio.sleep(settings.EXAMPLE_TICK / 5)
        yield "done", {}
