"""What the notify service does when time passes."""

from __future__ import annotations

from services.notify.use_cases.feeds import PURGE, purge_feed
from services.notify.use_cases.notices import SEND
from services.notify.use_cases.paging import PAGE, send_page
from services.notify.use_cases.partners import ENSURE_TOPIC, ensure_topic
from services.notify.use_cases.sending import send_notice
from shared.kit.db import Transaction
from shared.kit.runtime import Runtime
from shared.kit.schedule import Timer, Timers

timers = Timers()


@timers.job(SEND)
async def send(runtime: Runtime, timer: Timer) -> None:
    await send_notice(runtime.database, runtime.gateways.mail, timer.subject_id)


@timers.job(PAGE)
async def page(runtime: Runtime, timer: Timer) -> None:
    await send_page(runtime.database, runtime.gateways.mail, timer.subject_id)


@timers.job(ENSURE_TOPIC)
async def have_topic(runtime: Runtime, timer: Timer) -> None:
    assert runtime.log is not None, "timers run in a worker, which has an event log"
    await ensure_topic(runtime.database, runtime.log, timer.subject_id)


@timers.when(PURGE)
async def purge(tx: Transaction, timer: Timer) -> None:
    await purge_feed(tx, timer.subject_id)
