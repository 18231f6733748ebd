"""The development set-up: one story undisturbed, one with every container killed, and the same end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from deploy.demo.client import Installation, instant
from deploy.demo.story import Story
from deploy.services import SERVICES
from tests.compose.disaster import expect_it_to_come_back
from tests.compose.ending import end_state
from tests.compose.stack import PARTS, Stack, brought_up, sizes_over_the_base
from tests.infrastructure.waiting import eventually

PATIENCE_SECONDS = 420.0
ROWS_BETWEEN = 3
LARGEST_IMAGE_MB = 250


async def check(say: Callable[[str], None], *, keep: bool) -> None:
    """Raises AssertionError or StepFailed."""
    with brought_up("development", keep=keep) as stack:
        say(f"up at {url_of(stack)}")
        sizes = sizes_over_the_base()
        assert max(sizes.values()) <= LARGEST_IMAGE_MB, sizes
        say(f"images over their base, MB: { {name: round(size) for name, size in sizes.items()} }")
        check_that_services_are_strangers(stack)
        say("no service's role enters another's database")
        undisturbed = await played(stack, [])
        say("played undisturbed")
        disturbed = await played(stack, disturbances(stack), say=say)
        say("played with every container killed once, then broker and database restarted")
        assert_same(undisturbed, disturbed)
        stack.verify_audit_trails()
        say("the end is the same, nothing is parked, and every audit chain holds")
        await expect_another_to_come_back(stack)
        say("lost with all its data and back out of its backup, it tells the same")


def url_of(stack: Stack) -> str:
    return f"http://localhost:{stack.port}"


def disturbances(stack: Stack) -> list[tuple[str, Callable[[], None]]]:
    """What is done between rows, in this order."""

    def killed(part: str) -> Callable[[], None]:
        def kill() -> None:
            stack.kill(part)
            stack.start(part)

        return kill

    def restarted(part: str) -> Callable[[], None]:
        return lambda: stack.restart(part)

    kills = [(f"kill {part}", killed(part)) for part in ("kafka", "front", *PARTS)]
    return [*kills, *((f"restart {part}", restarted(part)) for part in ("kafka", "postgres"))]


async def played(
    stack: Stack, between: list[tuple[str, Callable[[], None]]], *, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """The end of a story that was disturbed every few rows, and of whose data nothing is left after its retention."""
    async with Installation(url_of(stack), patience=PATIENCE_SECONDS) as installation:
        story, waiting, count = Story(installation), list(between), 0
        async for _row in story.play():
            count += 1
            if waiting and count % ROWS_BETWEEN == 0:
                what, disturb = waiting.pop(0)
                say(f"  {what}")
                disturb()
        assert not waiting, f"the story was too short for {[what for what, _ in waiting]}"
        end = await end_state(story)
        await expect_deletion(story)
        return end


async def expect_another_to_come_back(stack: Stack) -> None:
    """One more story, whose data is still kept."""
    async with Installation(url_of(stack), patience=PATIENCE_SECONDS) as installation:
        story = Story(installation)
        async for _row in story.play():
            pass
        await expect_it_to_come_back(stack, story)


async def expect_deletion(story: Story) -> None:
    """When retention is over, the data goes from the append-only server too."""
    paths = [f"/backup/v1/protections/{one}" for one in story.protections]

    async def seen() -> list[Any]:
        return [await story.customer.get("retention", path) for path in paths]

    kept_until = max(instant(protection["retain_until"]) for protection in await seen())
    await story.installation.move_clock(story.admin, kept_until + timedelta(seconds=1))

    async def are_deleted() -> bool:
        return all(protection["data_deleted_at"] is not None for protection in await seen())

    await eventually(are_deleted, timeout=PATIENCE_SECONDS, what="the deletion of what is past its retention")


def check_that_services_are_strangers(stack: Stack) -> None:
    for service in SERVICES:
        for other in SERVICES:
            entering = (
                f"PGPASSWORD=$(cat /run/secrets/{service}_password) "
                f"psql -qAt -h 127.0.0.1 -U mainstay_{service} -d mainstay_{other} -c 'SELECT 1' 2>&1 || true"
            )
            said = stack.execute("postgres", "bash", "-c", entering)
            expected = "1" if service == other else "permission denied for database"
            assert expected in said, f"{service} in the database of {other}: {said}"


def assert_same(undisturbed: dict[str, Any], disturbed: dict[str, Any]) -> None:
    differing = {
        what: (undisturbed[what], disturbed[what]) for what in undisturbed if undisturbed[what] != disturbed[what]
    }
    assert not differing, f"undisturbed and disturbed differ: {differing}"
    assert not any(disturbed["parked"]), disturbed["parked"]
    assert not disturbed["slots with two backups"]
