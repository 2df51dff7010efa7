"""The configuration of a model definition: YAML 1.2 or a dict, with the user's overrides."""

from __future__ import annotations

from detjupyter.definition.config.reading import Config, read_config

__all__ = ["Config", "read_config"]
