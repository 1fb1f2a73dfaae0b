"""The project on a Python that has ``compression.zstd``: before 3.14, the same code comes from ``backports.zstd``."""

import sys
from types import ModuleType

if sys.version_info < (3, 14):
    from backports import zstd

    sys.modules["compression"] = ModuleType("compression")
    sys.modules["compression.zstd"] = zstd

from tests.project.asgi import application

__all__ = ["application"]
