"""Random cases for everything that reads what others send: encoders, parsers, settings, channels and requests."""
