"""Models for live lists."""

import uuid

from django.conf import settings
from django.db import models


class Tag(models.Model):
    name = models.CharField(max_length=20)


class Order(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True)
    item = models.CharField(max_length=80)
    status = models.CharField(max_length=10, default="new")
    is_hidden = models.BooleanField(default=False)
    tags = models.ManyToManyField(Tag, related_name="orders")


class ExpressOrder(Order):
    """Inherits from a model with its own table."""

    courier = models.CharField(max_length=20, default="")


class LoudOrder(Order):
    """Has no table of its own."""

    class Meta:
        proxy = True


class Parcel(models.Model):
    """Has a primary key that is no number, and a name that may move to another parcel."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    slug = models.SlugField()
    sender = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, to_field="username", null=True)
    orders = models.ManyToManyField(Order, related_name="parcels")


class Seal(models.Model):
    """Has the primary key of another row."""

    parcel = models.OneToOneField(Parcel, models.CASCADE, primary_key=True)
    text = models.CharField(max_length=20)


class Conversation(models.Model):
    """Has no live list."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True)
    text = models.TextField(default="")
