"""Settings of the example for the tests of protocols: short heartbeats, a ``retry``, and the clients' own files."""

from pathlib import Path

from config.settings import *  # noqa: F403
from config.settings import LOGGING

ADRF_SSE = {"HEARTBEAT": 0.05, "RETRY": 321}
ROOT_URLCONF = "tests.protocols.urls"
STATICFILES_DIRS = [("npm", Path(__file__).with_name("node_modules"))]
LOGGING["handlers"]["model"] = {"class": "logging.StreamHandler"}
LOGGING["loggers"]["protocols"] = {"handlers": ["model"], "level": "INFO"}
