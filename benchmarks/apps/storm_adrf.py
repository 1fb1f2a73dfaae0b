"""adrf as it comes: a view that answers JSON."""

from adrf.views import APIView
from django.core.asgi import get_asgi_application
from django.urls import path
from rest_framework.response import Response

from benchmarks.apps.sources import made


class Answer(APIView):
    """Answer with what would be the first event."""

    async def get(self, request, kind, count):
        return Response(made(0))


urlpatterns = [path("<str:kind>/<int:count>", Answer.as_view())]
application = get_asgi_application()
