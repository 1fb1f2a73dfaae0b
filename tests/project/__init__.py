"""The Django project used by the tests."""
