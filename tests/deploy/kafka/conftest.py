"""A secured broker with the users of every service, each allowed what `mainstay topics acls` lists."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.kafka.acls import users
from tests.deploy.cli.test_commands import told
from tests.infrastructure import requirements
from tests.infrastructure.secured_kafka import ADMIN, SecuredKafka, running_secured_kafka


@pytest.fixture(scope="session")
def secured_kafka() -> Iterator[SecuredKafka]:
    with (
        requirements.or_do_without("kafka"),
        running_secured_kafka([user.name for user in users()]) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        for user, *command in (ADMIN, "topics", "acls", "--apply"), ("mainstay-topics", "topics", "ensure"):
            for name, value in server.environment(user).items():
                patch.setenv(name, value)
            told(*command)
        patch.undo()
        yield server
