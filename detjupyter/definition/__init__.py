"""Model definitions: their files, names, isolated imports and configuration."""

from __future__ import annotations

from detjupyter.definition.config import Config, read_config
from detjupyter.definition.entrypoint import Entrypoint
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.definition.resolution import LoadedClass
from detjupyter.definition.trial import Trial
from detjupyter.definition.user_errors import trial_error

__all__ = ["Config", "Entrypoint", "LoadedClass", "ModelDefinition", "Trial", "read_config", "trial_error"]
