"""The audit trail: how fast rows are sealed into their chains, and how fast sealed chains are verified."""

from __future__ import annotations

from collections.abc import AsyncIterator

from deploy.trails import verify_trail
from shared.kit.audit_trail import Sealer
from tests.performance.figures import Aim, Effort, Figure, rate
from tests.performance.rows import row
from tests.performance.stage import Stage, execute

CHAINS = 1_000
FILL = f"""
INSERT INTO audit_rows (chain, event, at)
  SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n % {CHAINS} + 1), 12, '0'))::uuid,
    jsonb_build_object('by', 'bench', 'verb', 'register-server', 'subject_id', gen_random_uuid(),
      'correlation_id', gen_random_uuid(), 'channel', 'portal'),
    now() FROM generate_series(1, {{count}}) n
"""


@row("audit")
async def audit(stage: Stage) -> AsyncIterator[Figure]:
    """Rows of a thousand customers on PostgreSQL, sealed and signed, then verified; no floor."""
    url, count = stage.database("bench_audit"), 20_000 if stage.quick else 100_000
    async with stage.runtime("contracts", url) as runtime:
        await execute(url, FILL.format(count=count), "ANALYZE audit_rows")
        sealer = Sealer(runtime.database, runtime.name, runtime.data_dir)
        effort = Effort()
        while await sealer.seal():
            continue
        yield rate("audit rows sealed", "rows/s", effort.of(count), Aim(50_000, 150_000))
        effort = Effort()
        _chains, rows, breaks = await verify_trail(runtime)
        measured = effort.of(rows)
        assert rows == count, f"{rows} rows verified of {count}"
        assert not breaks, breaks
        yield rate("audit rows verified", "rows/s", measured, Aim(100_000, 400_000))
