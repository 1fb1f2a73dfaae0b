"""The rows that change."""

from django.conf import settings
from django.db import models


class Row(models.Model):
    """A row of a user. Its other fields are those of the events of the other suites."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    series = models.IntegerField(default=0)
    price = models.FloatField(default=101.25)
    n = models.IntegerField(default=0)
    at = models.BigIntegerField(default=0)
