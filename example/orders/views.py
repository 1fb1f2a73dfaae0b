"""Orders: their page, their API, and the channels that tell of each change."""

from django.urls import reverse
from django.views.generic import TemplateView
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import get_object_or_404
from rest_framework.viewsets import ModelViewSet

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
    """Knows nothing of streams: the model's signals do."""

    queryset = Order.objects.all()
    serializer_class = OrderSerializer


@extend_schema_view(get=extend_schema(operation_id="orders_stream"))
class OrdersStream(ChannelStreamView):
    """Every change of any order."""

    def get_channels(self):
        return [ALL]


@extend_schema_view(get=extend_schema(operation_id="order_stream"))
class OrderStream(ChannelStreamView):
    """Every change of one order; a 404 where there is none."""

    def get_channels(self):
        return [channel_of(get_object_or_404(Order, pk=self.kwargs["pk"]).pk)]
