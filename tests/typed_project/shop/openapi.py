"""The schema class of the project."""

from adrf_sse.openapi.schema import EventStreamSchema


class ShopSchema(EventStreamSchema):
    def get_tags(self) -> list[str]:
        return ["shop"]
