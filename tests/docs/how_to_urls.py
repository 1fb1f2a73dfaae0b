"""The URLs of the how-to pages, and of a login for tests."""

import json

from django.conf import settings
from django.contrib.auth import alogin
from django.contrib.auth.models import User
from django.http import HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.authtoken.models import Token

from adrf_sse.channels import apublish
from tests.docs.mysite import load, url_patterns
from tests.project.orders.models import Order
from tests.project.views import page as empty_page


async def login(request):
    """Start a session, and return a token."""
    user, _ = await User.objects.aget_or_create(username=request.GET.get("username", "alice"))
    token, _ = await Token.objects.aget_or_create(user=user)
    await alogin(request, user, "django.contrib.auth.backends.ModelBackend")
    return JsonResponse({"token": token.key, "user": user.pk})


@csrf_exempt
async def publish(request, channel, name):
    """Publish the event that the body contains."""
    await apublish(channel, json.loads(request.body), event=name)
    return HttpResponse(status=204)


def part(request, name):
    """Show a part of a template."""
    return HttpResponse("<!doctype html>" + render_to_string(name, request=request))


async def no_icon(request):
    """Browsers ask for an icon of each page."""
    return HttpResponse(status=204)


urlpatterns = [
    path("favicon.ico", no_icon),
    path("test-login/", login),
    path("test-page/", empty_page),
    path("test-publish/<channel>/<name>/", publish),
    path("test-part/<name>", part),
]
for name in settings.PAGES:
    urlpatterns += url_patterns(load(f"how-to/{name}.md", Order=Order))
