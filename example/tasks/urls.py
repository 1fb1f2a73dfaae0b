"""URLs of the reports."""

from django.urls import path

from tasks.views import Reports

urlpatterns = [
    path("", Reports.as_view(), name="reports"),
    path("<str:run_id>/", Reports.as_view(), name="report"),
]
