"""Support code for the tests: servers, browsers and sources."""
