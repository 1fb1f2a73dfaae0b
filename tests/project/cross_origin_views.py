"""The views for tests of cross-origin requests. The query of each request names it for ``requests()``."""

import asyncio

from django.contrib.auth import alogin
from django.contrib.auth.models import User
from django.http import JsonResponse
from django.urls import path
from django.utils.decorators import async_only_middleware
from rest_framework.authentication import SessionAuthentication, TokenAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import Throttled
from rest_framework.permissions import IsAuthenticated

from adrf_sse.views import AsyncSSEAPIView
from tests.project.views import page

_requests = []


@async_only_middleware
def record_requests(get_response):
    """Record the method and the query of each request in the order of arrival."""

    async def middleware(request):
        _requests.append((request.method, request.META["QUERY_STRING"]))
        return await get_response(request)

    return middleware


async def requests(request, query):
    """Return the methods of the requests so far that have this query."""
    return JsonResponse([method for method, sent in _requests if sent == query], safe=False)


async def login(request):
    """Start a session, and return a token."""
    user, _ = await User.objects.aget_or_create(username="alice")
    token, _ = await Token.objects.aget_or_create(user=user)
    await alogin(request, user, "django.contrib.auth.backends.ModelBackend")
    return JsonResponse({"token": token.key})


class Public(AsyncSSEAPIView):
    """Send what the request brought, and then nothing more."""

    authentication_classes = []

    async def get(self, request):
        yield "hello", {"last": self.last_event_id, "session": "sessionid" in request.COOKIES}
        await asyncio.Event().wait()


class Private(AsyncSSEAPIView):
    authentication_classes = [SessionAuthentication, TokenAuthentication]
    permission_classes = [IsAuthenticated]

    async def get(self, request):
        yield "hello", {"user": request.user.username}
        await asyncio.Event().wait()

    async def post(self, request):
        yield "hello", {"user": request.user.username, "data": request.data}


class Resumed(AsyncSSEAPIView):
    """End the first response after an event with the ID in the URL, so that the client reconnects."""

    authentication_classes = []
    retry = 1

    async def get(self, request, event_id):
        yield "hello", {"last": self.last_event_id}, event_id
        if self.last_event_id is not None:
            await asyncio.Event().wait()


class Finite(AsyncSSEAPIView):
    authentication_classes = []
    finite = True
    retry = 1

    async def get(self, request):
        yield "hello", {}


class Busy(AsyncSSEAPIView):
    authentication_classes = []

    async def get(self, request):
        raise Throttled(wait=7)
        yield


urlpatterns = [
    path("page/", page),
    path("requests/<query>/", requests),
    path("login/", login),
    path("public/", Public.as_view()),
    path("private/", Private.as_view()),
    path("resumed/<event_id>/", Resumed.as_view()),
    path("finite/", Finite.as_view()),
    path("busy/", Busy.as_view()),
]
