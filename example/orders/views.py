"""The orders: their page, and their API with the live list."""

from django.db import transaction
from django.urls import reverse
from rest_framework.viewsets import ModelViewSet

from adrf_sse.views import LiveModelMixin
from orders.models import Order
from orders.serializers import OrderSerializer
from streams.pages import Page


class OrdersPage(Page):
    template_name = "orders/orders.html"
    stream = "order-live"

    def get_context_data(self, **kwargs):
        return super().get_context_data(
            orders_url=reverse("order-list"),
            item_length=Order._meta.get_field("item").max_length,
            **kwargs,
        )


class Orders(LiveModelMixin, ModelViewSet):
    """List, create, change and delete orders. ``live/`` streams the list and its changes, whoever makes them."""

    queryset = Order.objects.all()
    serializer_class = OrderSerializer

    # With PostgreSQL as the broker, a transaction saves an order and announces it, or does neither.
    perform_create = transaction.atomic(ModelViewSet.perform_create)
    perform_update = transaction.atomic(ModelViewSet.perform_update)
    perform_destroy = transaction.atomic(ModelViewSet.perform_destroy)

    def get_live_partition(self):
        return "everybody"
