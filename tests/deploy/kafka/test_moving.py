"""A company on Kafka is backed up and restored by users that may do just that, and learns from the log of before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.events.registry import partner_topic
from shared.kernel.ids import new_id
from shared.kit.bus.kafka_log import KafkaLog
from shared.kit.bus.log import LogRefused
from tests.deploy.cli.telling import next_number, tell_of_an_invoice
from tests.deploy.cli.test_commands import changing, mainstay, told
from tests.deploy.kafka.test_secured import BILLINGS, add_partner, as_user, tell_partners, write
from tests.infrastructure.secured_kafka import SecuredKafka

__all__ = ["as_user"]


def test_a_backup_is_restored_beside_the_log_of_before_which_tells_what_was_answered_since(
    secured_kafka: SecuredKafka, as_user: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, keys = str(tmp_path / "backup"), ["--passphrase-file", str(tmp_path / "passphrase"), "--quiet"]
    (tmp_path / "passphrase").write_text("correct horse battery staple\n")
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path / "old"))
    told("migrate")
    partner_id, _whose_topic_is_not_made_yet = (changing("notify", add_partner) for _ in range(2))
    asyncio.run(tell_partners(secured_kafka.settings("mainstay-notify"), partner_id))
    as_user("mainstay-billing")
    tell_of_an_invoice(next_number())
    as_user("mainstay-backup-system")
    said = told("backup-system", backup, *keys)
    assert said["records"] >= 1
    as_user("mainstay-billing")
    tell_of_an_invoice(next_number())

    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path / "new"))
    as_user("mainstay-restore-system")
    done = mainstay("restore-system", backup, *keys)
    assert (done.returncode, "say --old-log" in done.stderr) == (1, True), done.stderr
    restored = told("restore-system", backup, "--old-log", *keys)
    assert [fact["data"]["number"] for fact in restored["forgotten"]["billing"]] == ["MS-2026-000002"]
    assert next_number() == "MS-2026-000003"


async def test_who_backs_up_writes_nothing_and_makes_no_topic(secured_kafka: SecuredKafka) -> None:
    settings = secured_kafka.settings("mainstay-backup-system")
    with pytest.raises(LogRefused):
        await write(settings, [BILLINGS], key="k")
    log = KafkaLog(settings)
    with pytest.raises(LogRefused):
        await log.ensure_topics([partner_topic(new_id())], partitions=1)
    await log.close()
