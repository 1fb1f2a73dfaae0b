"""The views' URLs."""

from django.urls import include, path

from shop import functions, metrics, views, viewsets

urlpatterns = [
    path("numbers/", views.Numbers.as_view()),
    path("durations/<int:pk>/", views.Durations.as_view(heartbeat=5)),
    path("orders/<int:pk>/", views.OrderStream.as_view()),
    path("news/", views.NewsStream.as_view()),
    path("plain/", views.plain_django_view),
    path("alone/", functions.alone),
    path("progress/<int:pk>/", functions.with_numbers),
    path("policies/", functions.with_all_policies, {"pk": 1}),
    path("metrics/", metrics.metrics.view),
    path("", include(viewsets.router.urls)),
]
