"""A run whose source does what a file says."""

import asyncio
import time

from django.urls import path

from adrf_sse.views import RunView


class Script(RunView):
    """Yield each line that is appended to the file ``script``, and append a mark to the file ``marks`` at the end."""

    authentication_classes = []

    async def run(self, request, *args, **kwargs):
        rest = ""
        try:
            with open(request.data["script"]) as script:  # noqa: ASYNC230
                while rest != "end\n":
                    rest += script.readline()
                    if not rest.endswith("\n"):
                        await asyncio.sleep(0.01)
                    elif rest.startswith("block "):
                        time.sleep(float(rest[6:]))  # noqa: ASYNC251
                        rest = ""
                    elif rest != "end\n":
                        yield rest[:-1]
                        rest = ""
        finally:
            with open(request.data["marks"], "a") as marks:  # noqa: ASYNC230
                marks.write(".")


urlpatterns = [path("runs/", Script.as_view()), path("runs/<str:run_id>/", Script.as_view())]
