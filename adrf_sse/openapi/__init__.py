"""OpenAPI descriptions of streams, through drf-spectacular (extra ``adrf-sse[openapi]``)."""
