"""Keep the parameters that a decision was made by."""

from shared.kit.revisions import kit_0003

revision = "0003"
down_revision = "0002"
phase = "expand"

upgrade = kit_0003.upgrade
downgrade = kit_0003.downgrade
