"""URLs of the protocols. Most of their clients expect these paths, without a slash at the end."""

from django.urls import path

from protocols import a2a, ag_ui
from protocols.chat_completions import ChatCompletions
from protocols.datastar import Patches
from protocols.graphql import GraphQL
from protocols.htmx import Fragments
from protocols.langgraph import Runs
from protocols.mcp import MCP
from protocols.messages import Messages
from protocols.plain import Words
from protocols.responses import Responses
from protocols.resumable_chat import ResumableChat
from protocols.turbo import TurboStreams
from protocols.ui_messages import Chat

urlpatterns = [
    path("openai/chat/completions", ChatCompletions.as_view()),
    path("openai/responses", Responses.as_view()),
    path("anthropic/v1/messages", Messages.as_view()),
    path("mcp", MCP.as_view()),
    path("chat", Chat.as_view()),
    path("resumable-chat", ResumableChat.as_view()),
    path("resumable-chat/<str:id>/stream", ResumableChat.as_view()),
    path("graphql", GraphQL.as_view()),
    path("ag-ui", ag_ui.Agent.as_view()),
    path("a2a/.well-known/agent-card.json", a2a.agent_card),
    path("a2a", a2a.Agent.as_view()),
    path("langgraph/runs/stream", Runs.as_view()),
    path("htmx", Fragments.as_view()),
    path("turbo", TurboStreams.as_view()),
    path("datastar", Patches.as_view()),
    path("words", Words.as_view()),
]
