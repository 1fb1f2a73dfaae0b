"""The address of the documentation, for messages that refer to a page."""

SITE = "https://adrf-sse.readthedocs.io/en/stable/"


def page(path: str) -> str:
    """Return the URL of a page, such as ``"settings"`` or ``"brokers/redis#acl"``."""
    name, _, section = path.partition("#")
    return f"{SITE}{name}/#{section}" if section else f"{SITE}{name}/"
