"""A view whose runs Celery's workers produce, or whoever is told to by a test."""

from django.urls import path

from adrf_sse.views import RunView
from tests.project.celery_app import produce_run


class Talk(RunView):
    first_event_timeout = 0

    def get_run_id(self, request):
        return request.data.get("id")

    def start(self, request, run_id):
        if "kind" in request.data:
            produce_run.delay(run_id, request.data["kind"])


route = Talk.as_view()
urlpatterns = [path("talk/", route), path("talk/<str:run_id>/", route)]
