"""A page with two streams in one file: ``pip install "adrf-sse[example]"``, then ``python minimal.py [PORT]``."""

import asyncio
import os
import sys
from itertools import count

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    DEBUG=True,  # only for your own machine
    SECRET_KEY="this file has no secrets",
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["rest_framework", "adrf_sse"],
    REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None},  # there are no users
)
application = get_asgi_application()  # sets up Django, before the views are imported

from adrf_sse.channels import apublish
from adrf_sse.views import AsyncSSEAPIView, ChannelStreamView


class Ticker(AsyncSSEAPIView):
    async def get(self, request):
        for number in count(1):
            yield "tick", {"number": number}  # the client receives it at once
            await asyncio.sleep(1)


class Room(ChannelStreamView):
    def get_channels(self):
        return ["room"]


async def say(request):
    await apublish("room", {"text": request.POST.get("text", "")})  # to every client of Room
    return HttpResponse(status=204)  # the browser stays on its page


async def page(request):
    return HttpResponse(PAGE)


urlpatterns = [
    path("", page),
    path("ticker/", Ticker.as_view()),
    path("room/", Room.as_view()),
    path("say/", say),
]

PAGE = """<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,"><title>adrf-sse in one file</title>
<main>
<h1>Tick <span id="number">…</span></h1>
<form method="post" action="/say/"><label>Text <input name="text" required></label> <button>Say it</button></form>
<p>Open this page in a second tab. What you say in one tab appears in both:</p>
<ul id="said" aria-live="polite"></ul>
</main>
<script>
new EventSource("/ticker/").addEventListener("tick", event => number.textContent = JSON.parse(event.data).number);
new EventSource("/room/").onmessage = event => {
  said.append(document.createElement("li"));
  said.lastChild.textContent = JSON.parse(event.data).text;
};
</script>
"""

if __name__ == "__main__":
    try:
        import uvicorn
    except ImportError:
        sys.exit('This file needs uvicorn. Run: pip install "adrf-sse[example]"')
    port = int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("PORT", 8000))
    url = f"http://127.0.0.1:{port}"
    print(f"Open {url}/ in two tabs. Ctrl-C ends the server. In other terminals, try:", flush=True)
    print(f"  curl -N {url}/ticker/\n  curl -N {url}/room/\n  curl -d text=Hello {url}/say/", flush=True)
    uvicorn.run(application, port=port, lifespan="off", log_level="warning")
