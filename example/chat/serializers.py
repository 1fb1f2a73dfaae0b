"""Messages as clients see them."""

from rest_framework import serializers

from chat.models import Message


class MessageSerializer(serializers.ModelSerializer):
    """Checks what is posted: the lengths are the model's."""

    class Meta:
        model = Message
        fields = ["id", "author", "text", "sent"]
