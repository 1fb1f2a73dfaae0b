"""A stream for those who are logged in: REST framework's own permissions guard it."""

import asyncio

from django.conf import settings
from django.utils import timezone
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated

from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer
from adrf_sse.views import AsyncSSEAPIView


class MembersClock(AsyncSSEAPIView):
    """Without a session, a 403 as JSON; the generator is never started."""

    renderer_classes = [EventStreamRenderer, EventStreamConsoleRenderer]
    authentication_classes = [SessionAuthentication]
    permission_classes = [IsAuthenticated]

    async def get(self, request):
        yield "greeting", f"Hello, {request.user.get_username()}!"
        while True:
            yield "time", f"{timezone.now():%H:%M:%S} UTC"
            await asyncio.sleep(settings.EXAMPLE_TICK)
