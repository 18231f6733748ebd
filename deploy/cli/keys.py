"""Keys: which there are, and the way from each to its successor while everything runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import typer

from deploy import environment
from deploy.cli.operator import me, opened
from deploy.cli.output import AsJson, Exit, complain, console, print_json, print_table
from deploy.environment import PREFIX, WrongSettings
from deploy.keys import listed, rotating
from deploy.opening import CannotOpen
from deploy.progress import Progress
from deploy.services import SERVICES
from services.backup.gateways import keys_of
from services.backup.gateways.keys import RepositoryKeys
from services.backup.gateways.passwords import Passwords
from services.backup.gateways.restic import ResticMissing
from services.backup.settings import BackupSettings
from services.backup.use_cases import master_key
from services.backup.use_cases.master_key import Outcome
from services.contracts.gateways import transit_of, vault_key_file
from services.contracts.gateways.key_providers.file_keyring import PREFIX as IN_A_FILE
from services.contracts.gateways.key_providers.file_keyring import VaultKeyFile
from services.contracts.gateways.key_providers.provider import KeyStoreAway, KeyUnknown
from services.contracts.settings import ContractsSettings
from services.contracts.use_cases import vault_keys
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Conflict
from shared.kit import audit_trail
from shared.kit.auth import fresh_development_key
from shared.kit.db import Database
from shared.kit.key_files import content_of, put_in_place
from shared.kit.master_keys import GivenFromOutside, KeyMissing, MasterKey
from shared.kit.runtime import development_key_file
from shared.kit.settings import CommonSettings
from shared.kit.signing_keys import BrokenSuccession, SigningKeys

Kind = Literal["audit", "backup", "vault", "development-issuer"]

ALL_KEYS = UUID(int=0)

commands = typer.Typer(help="Keys in the data folder.", no_args_is_help=True)


class NothingToReplace(Conflict):
    """There is no such key yet: whoever needs it first makes it."""


class SuccessorIsGiven(Conflict):
    """The key comes from outside, as a mounted secret does, and so does its successor."""


@commands.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """Every key, its name, and whether a rotation has to be finished. Secrets among the settings are not listed."""
    common = environment.read_common()
    found = listed(common, environment.read(BackupSettings), environment.read(ContractsSettings))
    if as_json:
        print_json([vars(key) for key in found])
        return
    columns = ["kind", "id", "state", "since", "purpose", "file"]
    print_table("Keys", columns, [[getattr(key, name) for name in columns] for key in found])


@commands.command("rotate")
def rotate(
    kind: Annotated[Kind, typer.Argument(help="Which key.")],
    leave_old: Annotated[
        bool, typer.Option("--leave-old", help="backup: end a rotation although the old key still opens repositories.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Give a key its successor, with everything running; killed anywhere, run it again and it goes on.

    audit: the successor is signed by the key before it, and what that one signed still verifies.
    backup: every repository gets a new password and loses the old one; 1 while the old one still opens some. Where the
    key is a mounted secret, give the new one and the old one as `<file>.retired` first.
    vault: a new key wraps the key of every secret; 1 while some are wrapped by one that is not there.
    development-issuer: all tokens end; restart the processes.
    """
    if leave_old and kind != "backup":
        complain(["--leave-old is for backup."])
        raise typer.Exit(Exit.WRONG_SETTINGS)
    common = environment.read_common()
    with rotating(common):
        if kind == "backup":
            _rotate_backup(common, as_json=as_json, leave_old=leave_old)
            return
        if kind == "vault":
            _rotate_vault(common, as_json=as_json)
            return
        before, after = asyncio.run(_rotate_audit(common)) if kind == "audit" else _rotate_issuer(common)
    if as_json:
        print_json({"kind": kind, "before": before, "id": after})
    else:
        console.print(f"{kind}: {after} follows {before}.")


async def _rotate_audit(common: CommonSettings) -> tuple[str, str]:
    data = common.data_dir.absolute()
    _insist_on(data / "keys" / "audit.pem")
    keys = SigningKeys(data)
    try:
        before, successor = keys.known()[-1].id, keys.successor()
    except BrokenSuccession as broken:
        raise Conflict(f"{broken}: put back the file that belongs here first.") from broken
    for service in SERVICES:
        if (data / "audit" / f"{service}.heads.jsonl").exists():
            await _record(service, kind="audit", key=successor.id)
    keys.rotate(successor, SystemClock().now())
    return before, successor.id


def _rotate_issuer(common: CommonSettings) -> tuple[str, str]:
    if common.mode == "production":
        raise WrongSettings(f"{PREFIX}MODE: production has no development issuer")
    file = development_key_file(common)
    _insist_on(file)
    fresh = file.with_name(f"{file.name}.next")
    before, after = (
        json.loads(content)["kid"] for content in (file.read_bytes(), content_of(fresh, fresh_development_key))
    )
    put_in_place(fresh, file)
    return before, after


def _rotate_backup(common: CommonSettings, *, as_json: bool, leave_old: bool) -> None:
    keys = keys_of(environment.read(BackupSettings), common)
    try:
        keys.insist_on_successor()
        outcome = asyncio.run(_replace_master_key(keys, leave_old=leave_old))
    except ResticMissing as missing:
        raise CannotOpen(f"{missing}: set MAINSTAY_BACKUP_RESTIC to the program.") from missing
    except KeyMissing as missing:
        raise NothingToReplace(f"{missing}, so no other can follow it.") from missing
    except GivenFromOutside as given:
        raise SuccessorIsGiven(_how_to_give(keys, str(given), "backup", "A backup key that is a secret")) from given
    left = keys.retired if keys.is_retiring and (outcome.complete or leave_old) else None
    if as_json:
        stays = [{"repository": repository.name, "reason": reason} for repository, reason in outcome.stays.items()]
        done = {"kind": "backup", "id": keys.name, "repositories": outcome.repositories, "still_open": stays}
        print_json(done | {"take_away": left and str(left)})
    else:
        console.print(f"backup: {keys.name} opens {outcome.repositories} repositories.")
        complain(_what_stays(outcome))
        if left is not None:
            complain([f"It is over: take {left} away where it comes from."])
    if not outcome.complete and not leave_old:
        raise typer.Exit(Exit.FAILED)


def _rotate_vault(common: CommonSettings, *, as_json: bool) -> None:
    settings = environment.read(ContractsSettings)
    keys = VaultKeyFile(vault_key_file(settings, common))
    try:
        if transit_of(settings) is None:
            keys.insist_on_successor()
        outcome = asyncio.run(_replace_vault_key())
    except KeyStoreAway as away:
        raise CannotOpen(f"MAINSTAY_CONTRACTS_VAULT_TRANSIT_URL: {away}.") from away
    except (KeyMissing, KeyUnknown) as missing:
        raise NothingToReplace(f"{missing}, so no other can follow it.") from missing
    except GivenFromOutside as given:
        raise SuccessorIsGiven(_how_to_give(keys, str(given), "contracts", "A vault key that is a secret")) from given
    left = keys.retired if outcome.retired and keys.file.exists() and keys.is_retiring else None
    name = outcome.key_id.removeprefix(IN_A_FILE)
    if as_json:
        stays = [str(secret_id) for secret_id in outcome.stays]
        done = {"kind": "vault", "id": name, "secrets": outcome.rewrapped, "stays": stays}
        print_json(done | {"take_away": left and str(left)})
    else:
        console.print(f"vault: {name} wraps the keys of all secrets; {outcome.rewrapped} were wrapped anew.")
        complain([f"{secret_id}: its key was wrapped by one that is not there." for secret_id in outcome.stays])
        if left is not None:
            complain([f"It is over: take {left} away where it comes from."])
    if outcome.stays:
        complain(["Give that key back as the retired one, or replace or remove these secrets, and run this again."])
        raise typer.Exit(Exit.FAILED)


async def _replace_vault_key() -> vault_keys.Outcome:
    progress = Progress("Wrapping data keys with the new key")
    async with opened("contracts") as runtime:
        await _record("contracts", kind="vault")
        outcome = await vault_keys.rotate(
            runtime.database, runtime.gateways.vault_keys, lambda _what, done, of: progress.at(done, of)
        )
        progress.end()
        stays = len(outcome.stays)
        await _record("contracts", kind="vault", key=outcome.key_id, secrets=outcome.rewrapped, stays=stays)
        return outcome


async def _replace_master_key(keys: RepositoryKeys, *, leave_old: bool) -> Outcome:
    async with opened("backup") as runtime:
        await _record("backup", kind="backup", before=keys.name_before)
        outcome = await _with_progress(runtime.database, keys, runtime.gateways.passwords)
        if leave_old and not outcome.complete:
            keys.forget_retired()
        await _record(
            "backup", kind="backup", key=keys.name, repositories=outcome.repositories, stays=len(outcome.stays)
        )
        return outcome


async def _with_progress(database: Database, keys: RepositoryKeys, passwords: Passwords) -> Outcome:
    progress, step = Progress(), ""

    def tell(what: str, done: int, of: int) -> None:
        nonlocal step
        if what != step:
            progress.begin(what)
            step = what
        progress.at(done, of)

    outcome = await master_key.rotate(database, keys, passwords, tell)
    progress.end()
    return outcome


def _how_to_give(keys: MasterKey, why: str, service: str, chapter: str) -> str:
    return (
        f"{why}, and so must its successor: give 32 new random bytes as {keys.file} and the key in use as "
        f"{keys.retired}, have the API and the workers of {service} see both, and run this again. Step by step: "
        f"docs/operations/keys.md, *{chapter}*."
    )


def _what_stays(outcome: Outcome) -> list[str]:
    lines = [f"{repository.name}: the old key still opens it: {reason}" for repository, reason in outcome.stays.items()]
    if outcome.refused:
        lines.append(
            "Where these are, nothing may be deleted, and who has the old key can still read them. Run this once more "
            "with MAINSTAY_BACKUP_DELETING_REPOSITORIES set, or after the server's operator has deleted the old file "
            "among each repository's `keys`. --leave-old ends the rotation as it is."
        )
    elif lines:
        lines.append("Run this again.")
    return lines


def _insist_on(file: Path) -> None:
    if not file.exists():
        raise NothingToReplace(f"{file.name} is not there: whoever needs that key first makes it.")


async def _record(service: str, **details: Any) -> None:
    """Before anything is done: what cannot be recorded is not done."""
    async with opened(service) as runtime, runtime.database.transaction() as tx:
        tx.actor = me()
        audit_trail.record(tx, None, "rotate-key", ALL_KEYS, **details)
