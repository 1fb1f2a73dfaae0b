"""Tests of channels and brokers."""
