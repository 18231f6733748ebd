"""A file and a transit engine keep the same promises; what moves from one to the other is opened by both."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.contracts.gateways.key_providers.file_keyring import FileKeyring
from services.contracts.gateways.key_providers.keyring import Keyring
from services.contracts.gateways.key_providers.provider import KeyProvider, KeyStoreAway, KeyUnknown, WrappedKey
from services.contracts.gateways.key_providers.transit import Transit
from shared.kit.master_keys import GivenFromOutside
from tests.infrastructure.transit import KEY, MOUNT, TOKEN, TransitServer, transit_server

DATA_KEY = bytes(range(32))


@pytest.fixture
def transit() -> Iterator[TransitServer]:
    with transit_server() as server:
        yield server


def client_of(server: TransitServer, *, token: str = TOKEN, key: str = KEY) -> Transit:
    return Transit(server.url, token, mount=MOUNT, key=key)


@pytest.fixture(params=["file", "transit", "both"])
def provider(request: pytest.FixtureRequest, tmp_path: Path) -> KeyProvider:
    file = FileKeyring(tmp_path / "keys" / "vault.key")
    if request.param == "file":
        return file
    client = client_of(request.getfixturevalue("transit"))
    return client if request.param == "transit" else Keyring(client, file)


async def test_what_is_wrapped_unwraps_again_and_each_time_differs(provider: KeyProvider) -> None:
    wrapped = [await provider.wrap(DATA_KEY, make=True) for _ in range(2)]
    assert {each.key_id for each in wrapped} == {await provider.current()}
    assert wrapped[0].content != wrapped[1].content
    assert DATA_KEY not in wrapped[0].content
    for each in wrapped:
        assert provider.keeps(each.key_id)
        assert await provider.unwrap(each) == DATA_KEY


async def test_after_a_succession_old_ones_unwrap_until_the_old_key_is_given_up(provider: KeyProvider) -> None:
    old = await provider.wrap(DATA_KEY, make=True)
    before = await provider.current()
    await provider.succeed()
    assert await provider.current() != before
    assert (await provider.wrap(DATA_KEY, make=False)).key_id == await provider.current()
    assert await provider.unwrap(old) == DATA_KEY
    [new] = await provider.rewrap([old])
    assert new.key_id == await provider.current()
    await provider.retire()
    assert await provider.unwrap(new) == DATA_KEY
    with pytest.raises(KeyUnknown):
        await provider.unwrap(old)


async def test_a_succession_that_is_not_through_is_not_begun_anew(provider: KeyProvider) -> None:
    await provider.wrap(DATA_KEY, make=True)
    await provider.succeed()
    current = await provider.current()
    await provider.succeed()
    assert await provider.current() == current


async def test_what_was_tampered_with_does_not_unwrap(provider: KeyProvider) -> None:
    wrapped = await provider.wrap(DATA_KEY, make=True)
    another = WrappedKey("file:0123456789abcdef", wrapped.content)
    damaged = WrappedKey(wrapped.key_id, wrapped.content[:-6] + b"AAAAA=")
    for each in (another, damaged):
        with pytest.raises((KeyUnknown, KeyStoreAway)):
            await provider.unwrap(each)


async def test_a_key_file_is_for_its_owner_only_and_made_where_nothing_is_wrapped_yet(tmp_path: Path) -> None:
    provider = FileKeyring(tmp_path / "keys" / "vault.key")
    with pytest.raises(KeyUnknown):
        await provider.wrap(DATA_KEY, make=False)
    await provider.wrap(DATA_KEY, make=True)
    assert stat.S_IMODE((tmp_path / "keys" / "vault.key").stat().st_mode) == 0o600


async def test_a_mounted_key_is_replaced_by_whoever_mounts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = FileKeyring(tmp_path / "vault.key")
    old = await provider.wrap(DATA_KEY, make=True)
    monkeypatch.setattr("shared.kit.master_keys.MasterKey.is_given", True)
    with pytest.raises(GivenFromOutside):
        await provider.succeed()
    provider.keys.retired.write_bytes(provider.keys.file.read_bytes())
    provider.keys.file.write_bytes(os.urandom(32))
    await provider.succeed()
    [new] = await provider.rewrap([old])
    assert new.key_id == await provider.current() != old.key_id
    await provider.retire()
    assert provider.keys.retired.exists(), "only who gave it takes it away"


async def test_what_a_file_wrapped_moves_to_transit_in_one_rewrap(tmp_path: Path, transit: TransitServer) -> None:
    file = FileKeyring(tmp_path / "vault.key")
    both = Keyring(client_of(transit), file)
    old, own = await file.wrap(DATA_KEY, make=True), await both.wrap(DATA_KEY, make=False)
    assert await both.unwrap(old) == DATA_KEY
    moved = await both.rewrap([old, own])
    assert {each.key_id for each in moved} == {f"transit:{MOUNT}/{KEY}:v1"}
    assert [await both.unwrap(each) for each in moved] == [DATA_KEY, DATA_KEY]


async def test_transit_is_asked_once_for_a_whole_page(transit: TransitServer) -> None:
    client = client_of(transit)
    wrapped = [await client.wrap(DATA_KEY, make=False) for _ in range(5)]
    transit.asked.clear()
    await client.rewrap(wrapped)
    assert transit.asked == [f"POST /v1/{MOUNT}/rewrap/{KEY}"]
    assert await client.rewrap([]) == []


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
async def test_a_transit_engine_that_does_not_do_it_is_away(transit: TransitServer, status: int) -> None:
    client = client_of(transit)
    wrapped = await client.wrap(DATA_KEY, make=False)
    transit.fails_with = status
    for asked in (client.current(), client.wrap(DATA_KEY, make=True), client.unwrap(wrapped), client.rewrap([wrapped])):
        with pytest.raises(KeyStoreAway, match=str(status)):
            await asked


async def test_nothing_of_what_was_sent_or_answered_is_in_the_trouble(
    transit: TransitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyStoreAway) as refused:
        await client_of(transit, token="hvs.another").wrap(DATA_KEY, make=False)
    assert "hvs." not in repr(refused.value)

    async def fails(*_args: object, **_named: object) -> None:
        raise httpx.ConnectError(TOKEN)

    monkeypatch.setattr(httpx.AsyncClient, "request", fails)
    with pytest.raises(KeyStoreAway) as away:
        await client_of(transit).wrap(DATA_KEY, make=False)
    assert TOKEN not in repr(away.value)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": None},
        {"data": {"ciphertext": 1}},
        {"data": {"ciphertext": "v1:abc"}},
        {"data": {"ciphertext": "vault:v1:" + "A" * 5000}},
        ["data"],
    ],
)
async def test_another_servers_answer_is_no_key(
    transit: TransitServer, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    async def answers(*_args: object, **_named: object) -> httpx.Response:
        return httpx.Response(200, json=answer)

    monkeypatch.setattr(httpx.AsyncClient, "request", answers)
    with pytest.raises(KeyStoreAway):
        await client_of(transit).wrap(DATA_KEY, make=False)
