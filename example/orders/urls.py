"""URLs of the orders."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from orders.views import Orders, OrdersPage, OrdersStream, OrderStream

router = SimpleRouter()
router.register("api", Orders)

urlpatterns = [
    path("", OrdersPage.as_view(), name="orders"),
    path("events/", OrdersStream.as_view(), name="orders-events"),
    path("<int:pk>/events/", OrderStream.as_view(), name="order-events"),
    path("", include(router.urls)),
]
