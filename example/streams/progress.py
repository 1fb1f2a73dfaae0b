"""A view that starts a job with POST, and a stream of the job's progress."""

from adrf.views import APIView
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, NotFound
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer
from adrf_sse.views import AsyncSSEAPIView
from streams.jobs import TooManyJobs, find_job, start_job


class Busy(APIException):
    """A 503 response: the maximum number of jobs is already running."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "Too many jobs are running. Try again when one is done."


class JobSerializer(serializers.Serializer):
    id = serializers.CharField()
    events = serializers.URLField(help_text="URL of the stream of the job's progress.")


class ProgressSerializer(serializers.Serializer):
    percent = serializers.IntegerField(min_value=0, max_value=100)


class Jobs(APIView):
    """Start a job."""

    renderer_classes = [JSONRenderer]

    @extend_schema(request=None, responses={201: JobSerializer})
    async def post(self, request):
        try:
            job = start_job()
        except TooManyJobs:
            raise Busy from None
        events = request.build_absolute_uri(reverse("progress-events", args=[job.id]))
        return Response({"id": job.id, "events": events}, status=status.HTTP_201_CREATED)


class JobProgress(AsyncSSEAPIView):
    """Stream the progress of a job, starting with its current state. An unknown job is a 404 with a JSON body."""

    renderer_classes = [EventStreamRenderer, EventStreamConsoleRenderer]
    finite = True
    event_serializers = {"progress": ProgressSerializer, "done": ProgressSerializer}

    async def get(self, request, id):
        job = find_job(id)
        if job is None:
            raise NotFound
        async for percent in job.watch():
            yield "progress", {"percent": percent}
        yield "done", {"percent": 100}
