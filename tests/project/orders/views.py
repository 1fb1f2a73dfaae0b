"""Viewsets with live lists."""

from adrf.serializers import ModelSerializer as AsyncModelSerializer
from adrf.viewsets import ModelViewSet as AsyncModelViewSet
from rest_framework.permissions import IsAuthenticated
from rest_framework.routers import SimpleRouter
from rest_framework.serializers import ModelSerializer
from rest_framework.viewsets import ModelViewSet

from adrf_sse.views import LiveModelMixin
from tests.project.orders.models import Order


class OrderSerializer(ModelSerializer):
    class Meta:
        model = Order
        fields = ["id", "item"]


class AsyncOrderSerializer(AsyncModelSerializer):
    class Meta(OrderSerializer.Meta):
        pass


class Orders(LiveModelMixin, ModelViewSet):
    """Every client has its own rows."""

    queryset = Order.objects.filter(is_hidden=False).order_by("id")
    serializer_class = OrderSerializer

    def filter_queryset(self, queryset):
        item = self.request.query_params.get("item")
        return queryset.filter(item=item) if item else queryset


class AsyncOrders(LiveModelMixin, AsyncModelViewSet):
    queryset = Order.objects.filter(is_hidden=False).order_by("id")
    serializer_class = AsyncOrderSerializer


class OwnOrders(LiveModelMixin, ModelViewSet):
    """Each user has rows."""

    queryset = Order.objects.all()
    serializer_class = OrderSerializer
    permission_classes = [IsAuthenticated]
    live_by = "user"

    def get_queryset(self):
        return self.queryset.filter(user=self.request.user, is_hidden=False).order_by("id")


router = SimpleRouter()
router.register("orders", Orders, basename="orders")
router.register("async-orders", AsyncOrders, basename="async-orders")
router.register("own-orders", OwnOrders, basename="own-orders")
urlpatterns = router.urls
