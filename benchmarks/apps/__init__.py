"""One ASGI application for each contender."""
