"""What an operator may set for the backup service: `MAINSTAY_BACKUP_…`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from shared.kit.secret_files import variables_of
from shared.kit.settings import ServiceSettings, needed


class BackupSettings(ServiceSettings):
    """`MAINSTAY_BACKUP_…`"""

    model_config = SettingsConfigDict(env_prefix="MAINSTAY_BACKUP_", extra="ignore", frozen=True)

    restic: str = Field("restic", description="the restic program: a name on PATH, or its path")
    repositories: SecretStr | None = Field(
        None, description="folder, or restic URL prefix (rest:https://host/path), default <data_dir>/repositories"
    )
    deleting_repositories: SecretStr | None = Field(
        None,
        description="the same repositories by a way that lets data be deleted, for when `repositories` is append-only: "
        "used for what is past its retention and for incomplete snapshots; default the same",
    )
    remote_repositories: SecretStr | None = Field(
        None,
        description="where remote backups go that customers applied for: a restic URL prefix, or a folder mounted "
        "from elsewhere; without it no application can be approved",
    )
    remote_deleting_repositories: SecretStr | None = Field(
        None, description="the same as deleting_repositories, of remote_repositories"
    )
    key_file: Path | None = Field(
        None,
        description="32 random bytes that every repository password derives from; default in the data folder, "
        "where they are made up when there is nothing to read yet",
        json_schema_extra=needed(
            "a file with 32 random bytes, which you keep a copy of: without it no backup can be read",
            by_workers_only=True,
        ),
    )
    restic_timeout_minutes: int = Field(360, ge=1, le=10_080, description="a backup that takes longer is killed")

    def named_repositories(self) -> dict[str, str]:
        """Every place that is set, by its variable; they may hold passwords."""
        fields = ("repositories", "deleting_repositories", "remote_repositories", "remote_deleting_repositories")
        variables, named = variables_of(type(self)), {field: getattr(self, field) for field in fields}
        return {variables[field]: place.get_secret_value() for field, place in named.items() if place is not None}
