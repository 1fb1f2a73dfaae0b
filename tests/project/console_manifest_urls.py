"""The views of the console, and the collected static files."""

from django.conf import settings
from django.urls import re_path
from django.views.static import serve

from tests.project.console_views import urlpatterns as views

urlpatterns = [*views, re_path(r"^static/(?P<path>.*)$", serve, {"document_root": settings.STATIC_ROOT})]
