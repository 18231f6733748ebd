"""Settings out of files: a folder with one file per variable, as Docker and Kubernetes mount secrets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic_settings import BaseSettings, EnvSettingsSource

PREFIX = "MAINSTAY_"
VARIABLE = f"{PREFIX}SECRETS_DIR"
LONGEST_BYTES = 65_536


class SecretFiles(EnvSettingsSource):
    """The folder that MAINSTAY_SECRETS_DIR names; a file is named like its variable, in lower case.

    Only the files of the class's own settings are read. One line end at the end of a file is not part of the value, and
    an empty file says nothing, as if it were not there.
    Raises ValueError with a line per variable whose file cannot be read, or that is a secret and has another value
    in the environment.
    """

    def _load_env_vars(self) -> Mapping[str, str | None]:
        folder = folder_named()
        if folder is None:
            return {}
        there = files_in(folder)
        found: dict[str, str | None] = {}
        troubles: list[str] = []
        for name, variable in variables_of(self.settings_cls).items():
            if variable not in there:
                continue
            try:
                value = _read(variable, there[variable])
                if not value:
                    continue
                _insist_on_one_value(self.settings_cls, name, variable, value, there[variable])
            except ValueError as wrong:
                troubles.append(str(wrong))
            else:
                found[variable.lower()] = value
        if troubles:
            raise ValueError("\n".join(troubles))
        return found


def folder_named() -> Path | None:
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


def files_in(folder: Path) -> dict[str, Path]:
    """The variables that have a file there; raises ValueError when the folder cannot be read."""
    try:
        # Kubernetes keeps what it mounts behind names that begin with a dot.
        names = [path for path in folder.iterdir() if path.name.upper().startswith(PREFIX)]
    except OSError as error:
        raise ValueError(f"{VARIABLE}: {folder}: {error.strerror}") from None
    return {path.name.upper(): path for path in sorted(names)}


def variables_of(kind: type[BaseSettings]) -> dict[str, str]:
    """Field → the variable that sets it."""
    prefix = kind.model_config.get("env_prefix") or ""
    return {name: f"{prefix}{name}".upper() for name in kind.model_fields}


def is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or SecretStr in get_args(annotation)


def _read(variable: str, path: Path) -> str:
    try:
        content = path.read_bytes()
        if len(content) > LONGEST_BYTES:
            raise ValueError(f"{variable}: {path}: is longer than {LONGEST_BYTES} bytes")
        text = content.decode("utf-8")
    except OSError as error:
        raise ValueError(f"{variable}: {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{variable}: {path}: is not a text in UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")


def _insist_on_one_value(kind: type[BaseSettings], name: str, variable: str, value: str, path: Path) -> None:
    # Elsewhere the environment wins. A secret that was changed in one place only would go on working unnoticed.
    given = os.environ.get(variable)
    if given is not None and given != value and is_secret(kind.model_fields[name].annotation):
        raise ValueError(f"{variable}: is set to one value here and to another in {path}: remove one of them")
