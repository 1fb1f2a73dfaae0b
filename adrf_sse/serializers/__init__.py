"""Typed events: views declare serializers for the data of their events."""
