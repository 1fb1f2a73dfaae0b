"""The messages of the chat."""

from django.db import models


class Message(models.Model):
    """A message in a room."""

    room = models.CharField(max_length=40)
    author = models.CharField(max_length=30)
    text = models.CharField(max_length=500)
    sent = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["room", "-id"])]

    def __str__(self):
        return f"{self.author}: {self.text}"
