"""Record which processes run, and the oldest release that may."""

from shared.kit.revisions import kit_0002

revision = "0002"
down_revision = "0001"
phase = "expand"

upgrade = kit_0002.upgrade
downgrade = kit_0002.downgrade
