from tests.views import urlpatterns

__all__ = ["urlpatterns"]
