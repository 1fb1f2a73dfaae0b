"""MCP's streamable HTTP: a server with one tool, whose calls are answered by streams."""

from rest_framework import status
from rest_framework.response import Response

from adrf_sse.views import AsyncSSEAPIView
from protocols.model import words

SERVER = {"serverInfo": {"name": "words", "version": "1"}, "capabilities": {"tools": {}}}
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
COMPLETE = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
RESULTS = {
    "server/discover": {"supportedVersions": ["2026-07-28"], **SERVER, **COMPLETE},
    "initialize": {"protocolVersion": "2025-11-25", **SERVER},
    "ping": {},
    "tools/list": {"tools": [{"name": "spell", "description": "Spell a text.", "inputSchema": TEXT}], **COMPLETE},
}


class MCP(AsyncSSEAPIView):
    async def post(self, request):
        method, self.id = request.data["method"], request.data.get("id")
        if self.id is None:
            return Response(status=status.HTTP_202_ACCEPTED)  # a notification
        if method == "tools/call":
            return self.spell(request.data["params"])
        if method in RESULTS:
            return Response({"jsonrpc": "2.0", "id": self.id, "result": RESULTS[method]})
        return Response(self.error(-32601, "Method not found"))

    async def spell(self, params):
        token, text = params.get("_meta", {}).get("progressToken"), ""
        async for word in words(params["arguments"]["text"]):
            text += word
            if token is not None:
                progress = {"progressToken": token, "progress": len(text), "message": word}
                yield {"jsonrpc": "2.0", "method": "notifications/progress", "params": progress}
        yield {"jsonrpc": "2.0", "id": self.id, "result": {"content": [{"type": "text", "text": text}], **COMPLETE}}

    def error(self, code, message):
        return {"jsonrpc": "2.0", "id": self.id, "error": {"code": code, "message": message}}

    def format_error(self, exc):
        return self.error(-32603, "The tool has failed.")
