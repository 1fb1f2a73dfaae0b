"""Serializers of the chat."""

from rest_framework import serializers

from chat.models import Message


class MessageSerializer(serializers.ModelSerializer):
    """Serialize and validate messages. The maximum lengths come from the model."""

    class Meta:
        model = Message
        fields = ["id", "author", "text", "sent"]
