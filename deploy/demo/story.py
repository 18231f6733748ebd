"""One contract's term, from signature to expiry, with what is refused on the way; every expectation is checked.

Steps speak HTTP to a running installation and nothing else, so the same story is played against
one process, against split processes, and against a remote deployment.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from deploy.demo.remote import Remote
from deploy.demo.rows import Row, Rows
from deploy.demo.signing import Signing
from deploy.demo.term import Term

__all__ = ["Row", "Story"]

NOTICES = Counter(
    {
        "invoice-issued": 2,
        "payment-approved": 2,
        "service-registered": 1,
        "service-expiring": 2,
        "service-renewed": 1,
        "service-expired": 1,
        "emergency-reported": 1,
        "emergency-acknowledged": 1,
        "emergency-resolved": 1,
    }
)


class Story(Signing, Remote, Term):
    """Afterwards its fields tell what there is to look at."""

    async def play(self) -> Rows:
        """The whole story, row by row as it happens; raises StepFailed at the first thing that does not hold."""
        chapters = (
            self._arrive,
            self._register,
            self._link_partner,
            self._name_server,
            self._choose,
            self._accept,
            self._pay_first,
            self._protect,
            self._restore,
            self._apply_for_remote,
            self._call_support,
            self._ask_for_work,
            self._first_window,
            self._renew,
            self._second_period,
            self._second_window,
            self._expire,
            self._after_the_end,
            self._compare_feed,
        )
        for chapter in chapters:
            async for row in chapter():
                yield row

    async def _compare_feed(self) -> Rows:
        self.busy("Comparing what the partner reads with what happened")
        notices = await self._all_delivered()
        self.feed.expect("notice-delivered", times=len(notices))
        count = await self.feed.compare(self.installation, self.contract_id, self._completed_backups)
        yield Row(
            when=await self._now(),
            who="Partner",
            what=f"has read all {count} redacted facts of this story in order, without a gap",
        )

    async def _all_delivered(self) -> list[Any]:
        answer = "declined" if self.remote_protection_id is None else "approved"
        wanted = NOTICES + Counter([f"remote-backup-{answer}"])

        def done(found: list[Any]) -> bool:
            kinds = Counter(notice["kind"] for notice in found)
            return kinds == wanted and all(notice["status"] == "delivered" for notice in found)

        return await self.installation.until(
            "delivering every notice", lambda: self._notices(None), done, expected=f"delivered: {dict(wanted)}"
        )
