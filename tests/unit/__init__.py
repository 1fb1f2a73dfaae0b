"""Tests that run in one process, named after the modules they test."""
