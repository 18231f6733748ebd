"""The backup program, its keys and the folders it reads and writes."""

from __future__ import annotations

from dataclasses import dataclass

from services.backup.domain.protection import LOCAL, REMOTE, Place
from services.backup.gateways.files import FileStore
from services.backup.gateways.keys import RepositoryKeys
from services.backup.gateways.passwords import Passwords, PasswordsByPlace, ResticPasswords
from services.backup.gateways.restic import Restic, ResticFailed
from services.backup.gateways.restic_client import ResticClient
from services.backup.settings import BackupSettings
from shared.kit.settings import CommonSettings

__all__ = ["FileStore", "Gateways", "build"]


@dataclass(frozen=True)
class Gateways:
    """`passwords` are only asked for while the master key is replaced; `remote` is None without such a place."""

    files: FileStore
    restic: Restic
    passwords: Passwords | None = None
    remote: Restic | None = None

    def restic_of(self, place: Place) -> Restic:
        """Raises ResticFailed for a remote place that the settings do not name any more."""
        found = self.restic if place is LOCAL else self.remote
        if found is None:
            raise ResticFailed("MAINSTAY_BACKUP_REMOTE_REPOSITORIES names no remote place")
        return found


def build(settings: BackupSettings, common: CommonSettings) -> Gateways:
    """The real ones."""
    data_dir = common.data_dir.absolute()
    repositories = settings.repositories.get_secret_value() if settings.repositories else None
    deleting = settings.deleting_repositories.get_secret_value() if settings.deleting_repositories else None

    def client(base: str, deleting_base: str | None, place: Place) -> ResticClient:
        return ResticClient(
            settings.restic,
            base=base,
            deleting_base=deleting_base,
            keys=keys_of(settings, common),
            state=data_dir / "restic",
            backup_seconds=settings.restic_timeout_minutes * 60,
            place=place,
        )

    local = client(repositories or str(data_dir / "repositories"), deleting, LOCAL)
    files = FileStore(data_dir)
    if settings.remote_repositories is None:
        return Gateways(files, local, ResticPasswords(local))
    remote_deleting = settings.remote_deleting_repositories
    remote = client(
        settings.remote_repositories.get_secret_value(),
        remote_deleting.get_secret_value() if remote_deleting else None,
        REMOTE,
    )
    passwords = PasswordsByPlace({LOCAL: ResticPasswords(local), REMOTE: ResticPasswords(remote)})
    return Gateways(files, local, passwords, remote)


def keys_of(settings: BackupSettings, common: CommonSettings) -> RepositoryKeys:
    return RepositoryKeys(settings.key_file or common.data_dir.absolute() / "keys" / "backup.key")
