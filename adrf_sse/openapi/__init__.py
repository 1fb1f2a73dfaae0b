"""OpenAPI descriptions of streams for drf-spectacular (extra ``adrf-sse[openapi]``)."""
