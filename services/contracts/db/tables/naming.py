"""The metadata that all tables of contracts share."""

from __future__ import annotations

import sqlalchemy as sa

from shared.kit.tables import NAMING

metadata = sa.MetaData(naming_convention=NAMING)

LANGUAGES = "language IN ('en', 'zh')"
