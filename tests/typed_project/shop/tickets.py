"""Tickets for streams of an ``EventSource``."""

from typing import Any

from rest_framework.authentication import TokenAuthentication
from rest_framework.permissions import IsAuthenticated

from adrf_sse.authentication import TicketAuthentication, TicketView
from adrf_sse.views import AsyncSSEAPIView


class ShortTickets(TicketAuthentication):
    lifetime = 5
    cache_alias = "tickets"

    def get_user(self, key: str) -> Any:
        return None


class ShortTicketView(TicketView):
    authentication_classes = [TokenAuthentication]
    authentication = ShortTickets


class Private(AsyncSSEAPIView):
    authentication_classes = [ShortTickets]
    permission_classes = [IsAuthenticated]
