"""Reports that a worker writes: start it with ``manage.py run_tasks``, and with ``DATABASE_URL`` or ``REDIS_URL``."""

from rest_framework import serializers

from adrf_sse.views import RunView
from tasks.reports import PARTS, write_report


class ReportSerializer(serializers.Serializer):
    parts = serializers.IntegerField(min_value=1, max_value=len(PARTS), default=len(PARTS))


class Reports(RunView):
    """Let a worker write a report. Its client can leave, follow it again, and stop it."""

    def start(self, request, run_id):
        order = ReportSerializer(data=request.data)
        order.is_valid(raise_exception=True)
        write_report.enqueue(run_id, order.validated_data["parts"])
