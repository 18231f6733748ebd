"""The wrapping key is replaced while secrets are kept and revealed, and given up only when it wraps nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.contracts.db import secrets as rows
from services.contracts.db.tables import secret_values, vault_keys
from services.contracts.gateways import Gateways
from services.contracts.gateways.key_providers.file_keyring import FileKeyring
from services.contracts.gateways.key_providers.keyring import Keyring
from services.contracts.gateways.key_providers.provider import KeyStoreAway
from services.contracts.gateways.key_providers.transit import Transit
from services.contracts.use_cases.vault_keys import Outcome, rotate
from shared.kernel.ids import new_id
from tests.contracts.stories.vault import VALUE, VaultStory
from tests.contracts.story import problem
from tests.infrastructure.transit import KEY, MOUNT, TOKEN, TransitServer, transit_server
from tests.support.service import ServiceUnderTest

SECRETS = 5


@pytest.fixture
async def story(service: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch) -> VaultStory:
    """Work in progress on a server with five secrets, which a rotation takes two by two."""
    monkeypatch.setattr("services.contracts.use_cases.vault_keys.PAGE", 2)
    story = VaultStory(service)
    await story.active()
    for number in range(SECRETS):
        await story.kept(name=f"secret {number}")
    await story.in_progress()
    return story


@pytest.fixture
def transit() -> Iterator[TransitServer]:
    with transit_server() as server:
        yield server


def keyring_of(story: VaultStory) -> FileKeyring:
    found: FileKeyring = story.service.runtime.gateways.vault_keys
    return found


async def rotated(story: VaultStory, told: Any = lambda *_: None) -> Outcome:
    runtime = story.service.runtime
    return await rotate(runtime.database, runtime.gateways.vault_keys, told)


async def wrapped_by(story: VaultStory) -> list[str]:
    async with story.service.runtime.database.reading() as reader:
        return [row.key_id for row in await reader.rows(sa.select(secret_values.c.key_id))]


async def test_every_data_key_is_wrapped_anew_and_the_old_key_is_gone(story: VaultStory) -> None:
    keys = keyring_of(story)
    before, steps = await keys.current(), []
    outcome = await rotated(story, lambda _what, done, of: steps.append((done, of)))
    assert outcome.key_id == await keys.current() != before
    assert (outcome.rewrapped, outcome.retired) == (SECRETS, True)
    assert steps == [(2, 5), (4, 5), (5, 5)]
    assert await wrapped_by(story) == [outcome.key_id] * SECRETS
    assert not keys.keys.retired.exists()
    assert (await story.reveal()).json()["value"] == VALUE


async def test_reveals_and_new_secrets_go_on_meanwhile(story: VaultStory) -> None:
    """Also in processes that have read the old key just before: what they stored with it is found at the end."""
    rotations = asyncio.create_task(rotated(story))
    revealed = [story.reveal() for _ in range(5)]
    kept = [story.keep(name=f"meanwhile {number}") for number in range(5)]
    replaced = story.on_secret("replace", {"value": VALUE, "replaces": 1})
    answers = await asyncio.gather(*revealed, *kept, replaced)
    outcome = await rotations
    statuses = {answer.status_code for answer in answers}
    assert statuses <= {200, 201, 409, 503}, [answer.text for answer in answers]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"ReplacedMeanwhile"}
    assert outcome.retired
    assert set(await wrapped_by(story)) == {outcome.key_id}
    assert (await story.reveal()).json()["value"] == VALUE


@pytest.mark.parametrize("dies_in", ["rewrap", "retire_others", "retire"])
async def test_killed_anywhere_it_goes_on_where_it_was(
    story: VaultStory, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    keys = keyring_of(story)

    class Killed(BaseException):
        pass

    async def dies(*_args: Any, **_named: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(keys if dies_in == "retire" else rows, dies_in, dies)
        with pytest.raises(Killed):
            await rotated(story)
    assert keys.keys.retired.exists()
    successor = await keys.current()
    assert (await story.reveal()).json()["value"] == VALUE
    outcome = await rotated(story)
    assert (outcome.key_id, outcome.retired) == (successor, True)
    assert set(await wrapped_by(story)) == {successor}
    assert not keys.keys.retired.exists()


async def test_what_was_wrapped_before_the_key_was_given_up_is_not_stored_after_it(
    story: VaultStory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process asks for a data key, is held up for a whole rotation, and then stores: what nobody could open."""
    keys = keyring_of(story)
    old = await keys.wrap(bytes(32), make=False)
    await rotated(story)

    async def answers_late(*_args: Any, **_named: Any) -> Any:
        return old

    with monkeypatch.context() as patched:
        patched.setattr(keys, "wrap", answers_late)
        assert problem(await story.keep(name="late")) == (503, "VaultKeyAway", None)
    assert len(await wrapped_by(story)) == SECRETS
    assert (await story.keep(name="late")).status_code == 201


async def test_the_database_knows_the_key_of_every_value(story: VaultStory) -> None:
    with pytest.raises(IntegrityError):
        async with story.service.runtime.database.transaction() as tx:
            await tx.execute(sa.delete(vault_keys))
    async with story.service.runtime.database.transaction() as tx:
        assert not await rows.retire_others(tx, "file:another"), "something is wrapped by it"


async def test_one_that_does_not_unwrap_holds_up_no_other_and_keeps_its_key(story: VaultStory) -> None:
    async with story.service.runtime.database.transaction() as tx:
        await rows.use_key(tx, "file:lost")
        lost = await tx.scalar(sa.select(secret_values.c.secret_id).order_by(secret_values.c.secret_id).limit(1))
        await tx.execute(sa.update(secret_values).where(secret_values.c.secret_id == lost).values(key_id="file:lost"))
    outcome = await rotated(story)
    assert (outcome.stays, outcome.rewrapped, outcome.retired) == ([lost], SECRETS - 1, False)
    assert keyring_of(story).keys.retired.exists()
    own, story.secret = story.secret, str(lost)
    assert problem(await story.reveal()) == (503, "VaultKeyAway", None)
    body = {"value": VALUE, "replaces": 1}
    assert (await story.on_secret("replace", body)).status_code == 200
    story.secret = own
    assert (await rotated(story)).retired


async def test_a_key_file_that_was_lost_is_not_made_up_anew(story: VaultStory) -> None:
    keyring_of(story).keys.file.unlink()
    assert problem(await story.keep(name="more")) == (503, "VaultKeyAway", None)
    assert problem(await story.reveal()) == (503, "VaultKeyAway", None)
    assert not keyring_of(story).keys.file.exists()


async def test_a_value_in_the_place_of_another_does_not_open(story: VaultStory) -> None:
    """Whoever may write the database cannot have one server's secret shown as that of another."""
    async with story.service.runtime.database.transaction() as tx:
        own = UUID(story.secret)
        other = await tx.row(sa.select(secret_values).where(secret_values.c.secret_id != own).limit(1))
        assert other is not None
        moved = {name: other._mapping[name] for name in ("wrapped_key", "nonce", "ciphertext")}
        await tx.execute(sa.update(secret_values).where(secret_values.c.secret_id == own).values(**moved))
    answer = await story.reveal()
    assert answer.status_code == 500
    assert VALUE[:20] not in answer.text


async def test_secrets_move_to_a_transit_engine_and_are_revealed_by_it(
    story: VaultStory, transit: TransitServer, tmp_path: Path
) -> None:
    runtime = story.service.runtime
    both = Keyring(Transit(transit.url, TOKEN, mount=MOUNT, key=KEY), keyring_of(story))
    runtime.gateways = Gateways(both)
    outcome = await rotated(story)
    assert (outcome.rewrapped, outcome.retired) == (SECRETS, True)
    assert set(await wrapped_by(story)) == {f"transit:{MOUNT}/{KEY}:v2"}
    assert transit.min_decryption_version == 2
    assert (await story.reveal()).json()["value"] == VALUE
    transit.fails_with = 503
    for answer in (await story.reveal(), await story.keep(name="more")):
        assert problem(answer) == (503, "VaultKeyAway", None)
    with pytest.raises(KeyStoreAway):
        await rotated(story)


async def test_nobody_is_asked_for_somebody_who_may_not_see_it(story: VaultStory, transit: TransitServer) -> None:
    story.service.runtime.gateways = Gateways(Transit(transit.url, TOKEN, mount=MOUNT, key=KEY))
    assert (await story.reveal(by=story.tom)).status_code == 403
    story.secret = str(new_id())
    assert (await story.reveal()).status_code == 404
    assert transit.asked == []


async def test_while_the_key_is_asked_for_no_transaction_is_open(
    story: VaultStory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command counts its transactions before and after it has asked."""
    database, keys = story.service.runtime.database, keyring_of(story)
    seen: list[int] = []
    for name in ("wrap", "unwrap"):
        original = getattr(keys, name)

        async def asks(*args: Any, original: Any = original, **named: Any) -> Any:
            seen.append(database.transactions)
            return await original(*args, **named)

        monkeypatch.setattr(keys, name, asks)
    before = database.transactions
    await story.kept(name="more")
    assert (await story.reveal()).status_code == 200
    assert seen == [before, before + 1]
    assert database.transactions == before + 2
