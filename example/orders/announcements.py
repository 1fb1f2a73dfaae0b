"""Publish every change of an order when its transaction is committed, no matter which code saved the order."""

from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from adrf_sse.channels import publish
from orders.models import Order
from orders.serializers import OrderSerializer

ALL = "orders"
"""The channel of all orders."""


def channel_of(pk):
    """Return the channel of a single order."""
    return f"{ALL}.{pk}"


@receiver(post_save, sender=Order)
def saved(sender, instance, using, **kwargs):
    announce(instance.pk, "order", OrderSerializer(instance).data, using=using)


@receiver(post_delete, sender=Order)
def deleted(sender, instance, using, **kwargs):
    announce(instance.pk, "order-deleted", {"id": instance.pk}, using=using)


def announce(pk, event, data, *, using):
    """Publish when the transaction is committed, or immediately if there is none. A rollback publishes nothing."""

    def tell():
        for channel in (ALL, channel_of(pk)):
            publish(channel, data, event=event)

    # robust=True: if the broker is unavailable, the order stays saved, and the error is logged.
    transaction.on_commit(tell, using=using, robust=True)
