"""Clients: they hold the connections that the measures need."""
