"""`mainstay verify-evidence` names the first link of a bundle that is broken, whatever was done to the file."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.evidence import BrokenLink, Verified, key_id, verify
from services.contracts.domain.evidence_bundle import (
    GENESIS,
    MANIFEST,
    SIGNATURE,
    BundleTooLarge,
    Entry,
    canonical,
    is_plain_name,
    link,
    manifest_of,
    signed_text,
)
from services.contracts.use_cases.evidence import writing
from services.contracts.use_cases.evidence.writing import BundleWriter, SigningKeyAway
from shared.kernel.ids import new_id
from shared.kit.audit_trail import row_hash
from shared.kit.signing_keys import SigningKeys
from tests.contracts.domain.builders import START

CUSTOMER = "01890000-0000-7000-8000-000000000001"
SUBJECT = {"kind": "incident", "id": str(new_id()), "contract_id": str(new_id()), "customer_id": CUSTOMER}
Members = dict[str, bytes]


def audit_rows() -> list[dict[str, Any]]:
    """Rows 3, 4 and 7 of a chain."""
    rows: list[dict[str, Any]] = []
    before = "5" * 64
    for seq in (3, 4, 7):
        event = {"verb": "decide-incident", "subject_id": SUBJECT["id"], "seq": seq}
        digest = row_hash(before, CUSTOMER, seq, START, event)
        row = {"chain": CUSTOMER, "seq": seq, "at": START.isoformat(), "event": event}
        rows.append({**row, "before": before, "hash": digest})
        before = digest if seq == 3 else "6" * 64
    return rows


@pytest.fixture
def keys(tmp_path: Path) -> SigningKeys:
    return SigningKeys(tmp_path / "data")


@pytest.fixture
def bundle(tmp_path: Path, keys: SigningKeys) -> Path:
    return written(tmp_path / "evidence.zip", keys)


def written(path: Path, keys: SigningKeys, rows: list[dict[str, Any]] | None = None) -> Path:
    writer = BundleWriter()
    writer.add("contract.json", b'{"status":"active"}')
    with writer.listed("timeline.json") as write:
        for number in range(3):
            write({"moment": number})
    with writer.listed("notices.json"):
        pass
    writer.add("audit.json", canonical(audit_rows() if rows is None else rows))
    with writer.finish(SUBJECT, lambda: keys) as made:
        path.write_bytes(made.read())
    return path


def members_of(path: Path) -> Members:
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def packed(path: Path, members: Members, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return path


def resigned(members: Members, key: Ed25519PrivateKey | None = None, *, claimed: str | None = None) -> Members:
    """Chained and signed anew by whoever changed it."""
    signer = key or Ed25519PrivateKey.generate()
    names = [name for name in members if name not in {MANIFEST, SIGNATURE}]
    entries = [Entry(name, len(members[name]), hashlib.sha256(members[name]).hexdigest()) for name in names]
    manifest = manifest_of(SUBJECT, entries)
    public = signer.public_key().public_bytes_raw().hex()
    said = {"key": claimed or key_id(public), "public": public, "signature": signer.sign(signed_text(manifest)).hex()}
    return {**{name: members[name] for name in names}, MANIFEST: manifest, SIGNATURE: canonical(said)}


def broken(path: Path, *trusted: str) -> tuple[str, str]:
    with pytest.raises(BrokenLink) as found:
        verify(path, trusted)
    return found.value.place, found.value.reason


def test_a_bundle_holds_and_says_who_signed_it(bundle: Path, keys: SigningKeys) -> None:
    signer = keys.known()[-1].id
    assert verify(bundle) == Verified(SUBJECT, signer, False, 4, 3)
    assert verify(bundle, [signer]).is_known
    assert list(members_of(bundle)) == [
        "contract.json", "timeline.json", "notices.json", "audit.json", MANIFEST, SIGNATURE
    ]  # fmt: skip
    assert members_of(bundle)["notices.json"] == b"[]"


def test_the_same_content_makes_the_same_file(tmp_path: Path, keys: SigningKeys) -> None:
    first, second = (written(tmp_path / f"{name}.zip", keys).read_bytes() for name in ("first", "second"))
    assert first == second


def test_a_bundle_that_was_packed_anew_still_holds(bundle: Path, tmp_path: Path) -> None:
    assert verify(packed(tmp_path / "packed.zip", members_of(bundle), zipfile.ZIP_DEFLATED)).entries == 4


def changed(members: Members) -> Members:
    return {**members, "timeline.json": members["timeline.json"].replace(b"1", b"7")}


def grown(members: Members) -> Members:
    return {**members, "timeline.json": members["timeline.json"] + b" "}


def missing(members: Members) -> Members:
    return {name: content for name, content in members.items() if name != "timeline.json"}


def reordered(members: Members) -> Members:
    names = ["contract.json", "notices.json", "timeline.json", "audit.json", MANIFEST, SIGNATURE]
    return {name: members[name] for name in names}


def added(members: Members) -> Members:
    return {**members, "verdict.json": b"{}"}


def added_between(members: Members) -> Members:
    return {"contract.json": members["contract.json"], "verdict.json": b"{}", **members}


def without_manifest(members: Members) -> Members:
    return {name: content for name, content in members.items() if name != MANIFEST}


def unsigned(members: Members) -> Members:
    return {name: content for name, content in members.items() if name != SIGNATURE}


def entries_swapped(members: Members) -> Members:
    """In the manifest too, hashes of the chain left as they were."""
    manifest = json.loads(members[MANIFEST])
    one, other = manifest["entries"][1], manifest["entries"][2]
    one["chain"], other["chain"] = other["chain"], one["chain"]
    manifest["entries"][1:3] = [other, one]
    return {**reordered(members), MANIFEST: canonical(manifest)}


def entry_dropped_from_the_end(members: Members) -> Members:
    manifest = json.loads(members[MANIFEST])
    manifest["entries"].pop()
    kept = {name: content for name, content in members.items() if name != "audit.json"}
    return {**kept, MANIFEST: canonical(manifest)}


def rechained(members: Members) -> Members:
    """Everything consistent but the signature, which only the key can make."""
    return {**resigned(changed(members)), SIGNATURE: members[SIGNATURE]}


def another_format(members: Members) -> Members:
    return {**members, MANIFEST: members[MANIFEST].replace(b"mainstay-evidence/1", b"mainstay-evidence/9")}


def climbing(members: Members) -> Members:
    return {"../../etc/passwd": b"root", **members}


def absolute(members: Members) -> Members:
    return {"/tmp/x.json": b"[]", **members}


def backslashed(members: Members) -> Members:
    return {"..\\x.json": b"[]", **members}


def with_an_escape_sequence(members: Members) -> Members:
    return {"a\x1b[2Jb.json": b"[]", **members}


def climbing_in_the_manifest(members: Members) -> Members:
    manifest = json.loads(members[MANIFEST])
    manifest["entries"][0]["name"] = "../x.json"
    return {**members, MANIFEST: canonical(manifest)}


def nested_deeply(members: Members) -> Members:
    return {**members, MANIFEST: b"[" * 100_000 + b"]" * 100_000}


def no_signature_at_all(members: Members) -> Members:
    return {**members, SIGNATURE: b"null"}


@pytest.mark.parametrize(
    ("change", "place", "reason"),
    [
        (changed, "timeline.json", "has been changed"),
        (grown, "timeline.json", "unpacks to more"),
        (missing, "timeline.json", "is missing"),
        (reordered, "timeline.json", "is not at its place, where notices.json is"),
        (added, "verdict.json", "is not in the manifest"),
        (added_between, "verdict.json", "is not in the manifest"),
        (without_manifest, MANIFEST, "is missing"),
        (unsigned, SIGNATURE, "is missing"),
        (entries_swapped, "notices.json", "entry 2 of the manifest does not follow"),
        (entry_dropped_from_the_end, MANIFEST, "does not end with the hash of its last entry"),
        (rechained, SIGNATURE, "does not hold"),
        (another_format, MANIFEST, "is of another format"),
        (climbing, "'../../etc/passwd'", "may lead outside"),
        (absolute, "'/tmp/x.json'", "may lead outside"),
        (backslashed, "'..\\\\x.json'", "may lead outside"),
        (with_an_escape_sequence, "'a\\x1b[2Jb.json'", "may lead outside"),
        (climbing_in_the_manifest, MANIFEST, "may lead outside"),
        (nested_deeply, MANIFEST, "is no manifest"),
        (no_signature_at_all, SIGNATURE, "is no signature"),
    ],
)
def test_the_first_broken_link_is_named(
    bundle: Path, tmp_path: Path, change: Callable[[Members], Members], place: str, reason: str
) -> None:
    found = broken(packed(tmp_path / "changed.zip", change(members_of(bundle))))
    assert found[0] == place
    assert reason in found[1]


def test_who_changes_it_and_signs_it_anew_is_not_the_key_that_is_known(
    bundle: Path, tmp_path: Path, keys: SigningKeys
) -> None:
    forged = packed(tmp_path / "forged.zip", resigned(changed(members_of(bundle))))
    assert not verify(forged).is_known
    place, reason = broken(forged, keys.known()[-1].id)
    assert place == SIGNATURE
    assert "is unknown" in reason


def test_a_key_goes_by_its_own_name_only(bundle: Path, tmp_path: Path, keys: SigningKeys) -> None:
    known = keys.known()[-1].id
    forged = packed(tmp_path / "forged.zip", resigned(changed(members_of(bundle)), claimed=known))
    assert broken(forged, known) == (SIGNATURE, "names another key than the one it carries")


@pytest.mark.parametrize(
    ("number", "values"),
    [
        (1, {"hash": "0" * 64}),
        (2, {"before": GENESIS}),
        (2, {"seq": 3}),
        (3, {"event": {"verb": "approve"}}),
        (3, {"chain": str(new_id())}),
        (3, {"at": "yesterday"}),
    ],
)
def test_audit_rows_that_were_wrong_before_they_were_signed_are_named(
    tmp_path: Path, keys: SigningKeys, number: int, values: dict[str, Any]
) -> None:
    rows = audit_rows()
    rows[number - 1] |= values
    found = broken(written(tmp_path / "evidence.zip", keys, rows))
    assert found == (f"audit.json, entry {number}", "does not have the hash it was sealed with")


def test_rows_of_the_trail_in_another_order_are_named(tmp_path: Path, keys: SigningKeys) -> None:
    first, second, third = audit_rows()
    found = broken(written(tmp_path / "evidence.zip", keys, [second, first, third]))
    assert found[0] == "audit.json, entry 2"


@pytest.mark.parametrize("part", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_bundle_that_is_cut_off_says_so(bundle: Path, part: float) -> None:
    content = bundle.read_bytes()
    bundle.write_bytes(content[: int(len(content) * part)])
    place, reason = broken(bundle)
    assert "cut off" in reason
    assert place == bundle.name


def test_a_byte_that_fell_over_is_found_wherever_it_is(bundle: Path) -> None:
    """One bit of every fiftieth byte in turn: whatever it hits, the bundle holds no more, or means the same."""
    content, before = bundle.read_bytes(), members_of(bundle)
    for place in range(0, len(content), 50):
        bundle.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            verify(bundle)
        except BrokenLink:
            continue
        assert members_of(bundle) == before, place


def test_a_bomb_is_not_unpacked(bundle: Path, tmp_path: Path) -> None:
    """A hundred and forty megabytes of nothing in a small file, said aloud or hidden behind a wrong size."""
    members, bomb, size = members_of(bundle), tmp_path / "bomb.zip", 140_000_000
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            with opened.open(name, "w") as stream:
                for part in [bytes(1_000_000)] * 140 if name == "timeline.json" else [content]:
                    stream.write(part)
    assert bomb.stat().st_size < 1_000_000
    assert broken(bomb)[1].startswith("would unpack to")
    told = struct.pack("<L", size)
    bomb.write_bytes(bomb.read_bytes().replace(told, struct.pack("<L", len(members["timeline.json"]))))
    assert broken(bomb)[0] == "timeline.json"


def test_more_files_than_any_bundle_has_are_not_looked_at(bundle: Path, tmp_path: Path) -> None:
    many = {**members_of(bundle), **{f"f{number}.json": b"" for number in range(600)}}
    assert broken(packed(tmp_path / "many.zip", many)) == ("the bundle", "has more than 500 files")


def test_a_name_that_is_there_twice_is_named(bundle: Path, tmp_path: Path) -> None:
    path = packed(tmp_path / "twice.zip", members_of(bundle))
    with zipfile.ZipFile(path, "a") as opened, pytest.warns(UserWarning, match="Duplicate"):
        opened.writestr("timeline.json", b"[]")
    assert broken(path) == ("timeline.json", "is there twice")


def test_a_text_that_is_not_the_accepted_one_is_named(tmp_path: Path, keys: SigningKeys) -> None:
    writer = BundleWriter()
    writer.add("agreement/2026-1.en.md", b"Another text.")
    writer.add("acceptances.json", canonical([{"text": "agreement/2026-1.en.md", "text_sha256": "a" * 64}]))
    with writer.finish(SUBJECT, lambda: keys) as made:
        (tmp_path / "evidence.zip").write_bytes(made.read())
    assert broken(tmp_path / "evidence.zip")[0] == "acceptances.json"


def test_what_is_not_a_zip_or_too_large_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "evidence.zip"
    file.write_bytes(b"PK\x05\x06" + b"\xff" * 18)
    assert broken(file)[0] == file.name
    with file.open("wb") as opened:
        opened.truncate(300_000_000)
    assert "is larger than" in broken(file)[1]


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("audit.json", True),
        ("agreement/2026-1.zh.md", True),
        ("agreement/a/b.md", False),
        ("../a.json", False),
        ("a/../b.json", False),
        ("/a.json", False),
        ("A.json", False),
        ("a\n.json", False),
        ("a\u202e.json", False),
        ("a" * 121, False),
        ("", False),
        ("audit.json\n", False),
    ],
)
def test_names_in_a_bundle_are_plain(name: str, plain: bool) -> None:
    assert is_plain_name(name) is plain
    if not plain:
        with pytest.raises(ValueError):
            BundleWriter().add(name, b"")


def test_a_bundle_is_bounded_while_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "LARGEST_BUNDLE_BYTES", 1000)
    writer = BundleWriter()
    writer.add("one.json", bytes(600))
    with pytest.raises(BundleTooLarge):
        writer.add("other.json", bytes(600))
    writer.abandon()


def test_without_its_key_nothing_is_signed(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file where the folder should be")
    writer = BundleWriter()
    with pytest.raises(SigningKeyAway):
        writer.finish(SUBJECT, lambda: SigningKeys(tmp_path))
    writer.abandon()


def test_the_chain_depends_on_place_name_size_and_hash() -> None:
    entry = Entry("a.json", 1, "0" * 64)
    links = {
        link(GENESIS, 1, entry),
        link(GENESIS, 2, entry),
        link("1" * 64, 1, entry),
        link(GENESIS, 1, Entry("b.json", 1, "0" * 64)),
        link(GENESIS, 1, Entry("a.json", 2, "0" * 64)),
        link(GENESIS, 1, Entry("a.json", 1, "1" * 64)),
    }
    assert len(links) == 6


def test_the_command_says_it_to_people_and_to_programs(bundle: Path, tmp_path: Path, keys: SigningKeys) -> None:
    known = keys.known()[-1]
    public = known.key.public_bytes_raw().hex()
    pem = tmp_path / "audit.pub"
    pem.write_bytes(known.key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    for named in (known.id, public, str(pem)):
        told = command(str(bundle), "--key", "0" * 16, "--key", named)
        assert told[0] == 0, told
        assert f"key {known.id}, which you named" in " ".join(told[1].split())
    assert "Compare it with one that you know" in " ".join(command(str(bundle))[1].split())
    code, out, _ = command(str(bundle), "--json")
    said = json.loads(out)
    assert (code, said["holds"], said["key"], said["is_known"], said["entries"]) == (0, True, known.id, False, 4)
    packed(bundle, changed(members_of(bundle)))
    code, out, _ = command(str(bundle), "--json")
    assert code == 1
    assert json.loads(out)["broken"]["place"] == "timeline.json"
    code, _, err = command(str(bundle))
    assert (code, err.startswith("timeline.json: has been changed")) == (1, True)


@pytest.mark.parametrize("key", ["abc", "g" * 16, "0" * 63, "/no/such/file"])
def test_a_key_that_is_none_and_a_file_that_is_not_there_are_wrong_use(bundle: Path, tmp_path: Path, key: str) -> None:
    assert command(str(bundle), "--key", key)[0] == 2
    assert command(str(tmp_path / "missing.zip"))[0] == 2
    assert command(str(tmp_path))[0] == 2


def command(*arguments: str) -> tuple[int, str, str]:
    told = CliRunner().invoke(app, ["verify-evidence", *arguments])
    return told.exit_code, told.stdout, told.stderr
