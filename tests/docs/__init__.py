"""Tests of the documentation: its examples, its lists, and its links."""
