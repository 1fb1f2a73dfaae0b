"""The ASGI application, for ``uvicorn config.asgi:application``."""

import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# Only runserver serves static files on its own. In production, use the web server instead.
application = ASGIStaticFilesHandler(get_asgi_application())
