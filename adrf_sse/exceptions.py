"""What the package raises.

    rest_framework.exceptions.APIException
    └── TooManySyncStreams    503: every thread for synchronous sources is taken

Bad values are plain ``TypeError`` and ``ValueError``; bad settings are Django's ``ImproperlyConfigured``.
"""

from rest_framework import status
from rest_framework.exceptions import APIException


class TooManySyncStreams(APIException):
    """Refuse a stream because ``MAX_SYNC_STREAMS`` synchronous sources already run in this process.

    Goes out as 503 with ``Retry-After``.
    """

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "Too many streams are open. Try again later."
    default_code = "too_many_sync_streams"

    wait = 5
    """Seconds, sent as ``Retry-After`` (REST framework reads this name)."""
