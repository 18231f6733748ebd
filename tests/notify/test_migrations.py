"""The migrated database is the declared one, up and down."""

from services.notify.db.tables import metadata
from shared.kit import migrations
from tests.support.service import ServiceUnderTest


async def test_migrating_leaves_no_drift_and_goes_down_again(notify: ServiceUnderTest) -> None:
    database, folder = notify.runtime.database, notify.runtime.migrations
    assert await migrations.drift(database, metadata) == []
    await migrations.downgrade(database, folder)
    await migrations.upgrade(database, folder)
    assert await migrations.pending(database, folder) == []
