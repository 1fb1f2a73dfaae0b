"""adrf_sse: a live list of each user's rows."""

from django.core.asgi import get_asgi_application

streams = get_asgi_application()

from django.urls import path  # noqa: E402
from rest_framework.viewsets import ModelViewSet  # noqa: E402

from adrf_sse.views import LiveModelMixin  # noqa: E402
from benchmarks.apps.live_rows.models import Row  # noqa: E402
from benchmarks.apps.live_rows.serializers import RowSerializer  # noqa: E402
from benchmarks.apps.live_rows.users import CookieAuthentication  # noqa: E402
from benchmarks.apps.live_rows.writing import with_writer  # noqa: E402


class Rows(LiveModelMixin, ModelViewSet):
    """Stream the user's rows."""

    authentication_classes = (CookieAuthentication,)
    queryset = Row.objects.all()
    serializer_class = RowSerializer
    live_by = "user"

    def get_queryset(self):
        return super().get_queryset().filter(user=self.request.user)


urlpatterns = [path("subscribe", Rows.as_view({"get": "live"}, **Rows.live.kwargs))]
application = with_writer(streams)
