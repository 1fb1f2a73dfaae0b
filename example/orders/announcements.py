"""What tells the world of an order that was saved: whoever saved it, and only once it is committed."""

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
    """Publish when the transaction is committed; at once where there is none. One that is rolled back says nothing."""

    def tell():
        for channel in (ALL, channel_of(pk)):
            publish(channel, data, event=event)

    # Robust: what is saved is saved, also where nobody can be told of it. Then it is in the log.
    transaction.on_commit(tell, using=using, robust=True)
