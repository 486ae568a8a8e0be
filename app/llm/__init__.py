"""Asks the model: an OpenAI-compatible endpoint, or an agent of your own."""

from app.llm.agent import AgentModel, Model, load_agent
from app.llm.endpoint import EndpointModel
from app.settings import Settings


def connect(settings: Settings) -> Model:
    """Return the model or agent that the settings name. Raises `SettingsError`."""
    if settings.chat_agent:
        return AgentModel(load_agent(settings.chat_agent))
    return EndpointModel(settings)
