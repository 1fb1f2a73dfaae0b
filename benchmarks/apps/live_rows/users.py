"""The users of the streams."""

from django.contrib.auth.models import User
from rest_framework.authentication import BaseAuthentication


class CookieAuthentication(BaseAuthentication):
    """Take the user's primary key from the cookie ``user``, without a query."""

    def authenticate(self, request):
        return User(pk=int(request.COOKIES["user"])), None
