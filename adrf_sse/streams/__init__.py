"""A source on its way to one client."""
