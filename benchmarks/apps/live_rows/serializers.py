"""The serializer of rows."""

from rest_framework.serializers import ModelSerializer

from benchmarks.apps.live_rows.counts import count
from benchmarks.apps.live_rows.models import Row


class RowSerializer(ModelSerializer):
    """Serialize a row, and count it."""

    class Meta:
        model = Row
        fields = ("id", "series", "price", "n", "at")

    def to_representation(self, instance):
        count("serialized")
        return super().to_representation(instance)
