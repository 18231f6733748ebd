"""Everything of an installation but its secrets is lost, and comes back out of the backup of the night."""

from __future__ import annotations

import os
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from deploy.demo.client import Installation
from deploy.demo.story import Story
from shared.kit.auth import Role
from tests.compose.ending import end_state
from tests.compose.stack import Stack

USER = 10001
"""Whom a container of ours runs as."""


async def expect_it_to_come_back(stack: Stack, story: Story) -> None:
    """By the commands of docs/operations/backup-and-restore.md; `story` has been played to its end."""
    before = await end_state(story)
    folder = Path(mkdtemp(prefix="mainstay-backups-"))
    os.chown(folder, USER, USER)
    stack.settings["DEPLOY_BACKUPS"] = str(folder)
    try:
        stack.script("run", "--rm", "-T", "backup-system")
        [made] = os.listdir(folder)
        restore = ("run", "--rm", "-T", "restore-system", "restore-system", f"/srv/backups/{made}")
        stack.script(*restore, "--verify")
        stack.down()
        passphrase = ("--passphrase-file", "/run/secrets/system_passphrase")
        stack.script(*restore, "--folder-per-service", *passphrase)
    finally:
        rmtree(folder)
    stack.up()
    stack.verify_audit_trails()
    await _sign_in_again(story, story.installation)
    after = await end_state(story)
    assert after == before, f"{before} came back as {after}"


async def _sign_in_again(story: Story, here: Installation) -> None:
    """The development issuer has new keys."""
    story.customer = await here.person("customer", Role.CUSTOMER, customer_id=story.customer.customer_id)
    story.auditor = await here.person("auditor", Role.FINANCE)
    story.admin = await here.person("admin", Role.ADMIN)
