"""The orders: their page, their API, and the streams of their changes."""

from django.urls import reverse
from django.views.generic import TemplateView
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import get_object_or_404
from rest_framework.viewsets import ModelViewSet

from adrf_sse.renderers import EventStreamConsoleRenderer, EventStreamRenderer
from adrf_sse.views import ChannelStreamView
from orders.announcements import ALL, channel_of
from orders.models import Order
from orders.serializers import OrderSerializer


class OrdersPage(TemplateView):
    template_name = "orders/orders.html"

    def get_context_data(self, **kwargs):
        return super().get_context_data(
            title="Orders",
            stream_url=reverse("orders-events"),
            orders_url=reverse("order-list"),
            item_length=Order._meta.get_field("item").max_length,
            **kwargs,
        )


class Orders(ModelViewSet):
    """List, create, change and delete orders. Signal receivers publish the events, not this view."""

    queryset = Order.objects.all()
    serializer_class = OrderSerializer


@extend_schema_view(get=extend_schema(operation_id="orders_stream"))
class OrdersStream(ChannelStreamView):
    """Stream the changes of all orders."""

    renderer_classes = [EventStreamRenderer, EventStreamConsoleRenderer]

    def get_channels(self):
        return [ALL]


@extend_schema_view(get=extend_schema(operation_id="order_stream"))
class OrderStream(ChannelStreamView):
    """Stream the changes of one order. The response is 404 if the order doesn't exist."""

    renderer_classes = [EventStreamRenderer, EventStreamConsoleRenderer]

    def get_channels(self):
        return [channel_of(get_object_or_404(Order, pk=self.kwargs["pk"]).pk)]
