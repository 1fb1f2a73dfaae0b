"""URLs of the assistant."""

from django.urls import path

from assistant.views import Assistant, AssistantPage

urlpatterns = [
    path("", AssistantPage.as_view(), name="assistant"),
    path("runs/", Assistant.as_view(), name="assistant-runs"),
    path("runs/<str:run_id>/", Assistant.as_view(), name="assistant-run"),
]
