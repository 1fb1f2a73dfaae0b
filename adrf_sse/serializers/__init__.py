"""Typed events: serializers for the data of events."""
