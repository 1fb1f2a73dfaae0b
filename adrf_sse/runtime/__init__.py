"""Event loops, threads and thread contexts: what depends on the internals of asgiref and Django."""
