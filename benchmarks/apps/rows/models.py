"""The rows that are written."""

from django.db import models


class Plain(models.Model):
    """A row of an event as the broker keeps it, with a primary key and nothing else."""

    id = models.BigAutoField(primary_key=True)
    channel = models.TextField()
    body = models.BinaryField()


class Order(models.Model):
    """A row that a view saves."""

    id = models.BigAutoField(primary_key=True)
    customer = models.CharField(max_length=100)
    status = models.CharField(max_length=20)
    total = models.DecimalField(max_digits=10, decimal_places=2)
    placed_at = models.DateTimeField(auto_now_add=True)
