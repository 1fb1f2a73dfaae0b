"""The orders."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models


class Order(models.Model):
    """An order. Its status goes from new to paid to shipped."""

    class Status(models.TextChoices):
        NEW = "new"
        PAID = "paid"
        SHIPPED = "shipped"

    item = models.CharField(max_length=80)
    quantity = models.PositiveIntegerField(default=1, validators=[MinValueValidator(1), MaxValueValidator(1000)])
    status = models.CharField(max_length=10, choices=Status, default=Status.NEW)

    class Meta:
        ordering = ["-id"]

    def __str__(self):
        return f"{self.quantity} of {self.item}, {self.status}"
