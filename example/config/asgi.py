"""The ASGI application, for ``uvicorn config.asgi:application``."""

import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# Outside of runserver nothing serves static files by itself; in production, leave that to the web server.
application = ASGIStaticFilesHandler(get_asgi_application())
