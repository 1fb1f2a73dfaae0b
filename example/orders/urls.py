"""URLs of the orders."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from orders.views import Orders, OrdersPage

router = SimpleRouter()
router.register("api", Orders)

urlpatterns = [
    path("", OrdersPage.as_view(), name="orders"),
    path("", include(router.urls)),
]
