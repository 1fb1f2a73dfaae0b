"""URLs of the example."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from config.metrics import stream_metrics

urlpatterns = [
    path("", include("streams.urls")),
    path("schema/", SpectacularSwaggerSplitView.as_view(url_name="openapi"), name="schema"),
    path("schema/openapi/", SpectacularAPIView.as_view(), name="openapi"),
    path("chat/", include("chat.urls")),
    path("orders/", include("orders.urls")),
    path("assistant/", include("assistant.urls")),
    path("protocols/", include("protocols.urls")),
    path("admin/", admin.site.urls),
    path("login/", LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    # The pages of the admin and of REST framework name no icon, so browsers request this URL.
    path("favicon.ico", RedirectView.as_view(url=static("streams/icon.svg"))),
    path("metrics/", stream_metrics.view, name="metrics"),
]
if settings.HAS_TASKS:
    urlpatterns.append(path("reports/", include("tasks.urls")))
