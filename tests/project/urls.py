from tests.project.views import urlpatterns

__all__ = ["urlpatterns"]
