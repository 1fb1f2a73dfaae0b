"""A stream for users who are logged in, protected by REST framework's permissions."""

import asyncio

from django.conf import settings
from django.utils import timezone
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated

from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer
from adrf_sse.views import AsyncSSEAPIView


class MembersClock(AsyncSSEAPIView):
    """Stream the time to logged-in users.

    Without a session, the response is a 403 with a JSON body, and the generator never starts. If the user logs out in
    another tab, the stream ends.
    """

    renderer_classes = [EventStreamRenderer, EventStreamConsoleRenderer]
    authentication_classes = [SessionAuthentication]
    permission_classes = [IsAuthenticated]
    # Short, so that you need not wait to see a logout end the stream. Each check queries the database.
    reauthorize_interval = 1
    retry = 500  # milliseconds until the browser reconnects, and is then refused

    async def get(self, request):
        yield "greeting", f"Hello, {request.user.get_username()}!"
        while True:
            yield "time", f"{timezone.now():%H:%M:%S} UTC"
            await asyncio.sleep(settings.EXAMPLE_TICK)
