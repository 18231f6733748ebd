"""The backup program, its keys and the folders it reads and writes."""

from __future__ import annotations

from dataclasses import dataclass

from services.backup.gateways.files import FileStore
from services.backup.gateways.keys import RepositoryKeys
from services.backup.gateways.passwords import Passwords, ResticPasswords
from services.backup.gateways.restic import Restic, ResticClient
from services.backup.settings import BackupSettings
from shared.kit.settings import CommonSettings

__all__ = ["FileStore", "Gateways", "build"]


@dataclass(frozen=True)
class Gateways:
    """`passwords` are only asked for while the master key is replaced."""

    files: FileStore
    restic: Restic
    passwords: Passwords | None = None


def build(settings: BackupSettings, common: CommonSettings) -> Gateways:
    """The real ones."""
    data_dir = common.data_dir.absolute()
    base = settings.repositories.get_secret_value() if settings.repositories else str(data_dir / "repositories")
    restic = ResticClient(
        settings.restic,
        base=base,
        deleting_base=settings.deleting_repositories.get_secret_value() if settings.deleting_repositories else None,
        keys=keys_of(settings, common),
        state=data_dir / "restic",
        backup_seconds=settings.restic_timeout_minutes * 60,
    )
    return Gateways(FileStore(data_dir), restic, ResticPasswords(restic))


def keys_of(settings: BackupSettings, common: CommonSettings) -> RepositoryKeys:
    return RepositoryKeys(settings.key_file or common.data_dir.absolute() / "keys" / "backup.key")
