"""Prompts for the example's model."""

WHOLE = "one pause two"
"""Three words. Before the second one, the stream is silent for four heartbeats."""
FAILING = "one fail"
