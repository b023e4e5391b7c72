"""The scripted model: a server that says what a file tells it to, and misbehaves on request."""

from tora_agent.model.scripted.script import Script, load_script
from tora_agent.model.scripted.server import ScriptedServer, serve_script, split_tokens

__all__ = ["Script", "ScriptedServer", "load_script", "serve_script", "split_tokens"]
