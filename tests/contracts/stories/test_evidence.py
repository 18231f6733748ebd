"""What is on record leaves as a bundle that proves itself: to a lawyer, offline, and to nobody else's customer."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from deploy.evidence import verify
from services.contracts.db.tables import evidence_facts
from shared.events.backup import BackupFailed, RemoteBackupApplied, RemoteBackupDeclined
from shared.events.envelope import Envelope, Fact
from shared.events.notify import NoticeDelivered
from shared.kernel.ids import new_id
from shared.kit.audit_trail import Sealer
from shared.kit.auth import Role
from shared.kit.signing_keys import SigningKeys
from tests.contracts.stories.incidents import FINDING, HAPPENED, OTHER_WORDS, SEEN, IncidentStory
from tests.contracts.stories.work import WorkStory
from tests.contracts.story import START, problem
from tests.infrastructure import canaries
from tests.support.service import ServiceUnderTest

FILES = [
    "agreement/2026-1.en.md", "acceptances.json", "contract.json", "work.json", "assessments.json",
    "acknowledgements.json", "conditions.json", "software.json", "reveals.json", "disclosures.json",
    "emergencies.json", "extensions.json", "refunds.json", "warranty.json", "incidents.json", "backups.json",
    "remote-applications.json", "payments.json", "notices.json", "decisions.json", "timeline.json", "audit.json",
    "summary.pdf", "manifest.json", "signature.json",
]  # fmt: skip


@pytest.fixture
async def story(service: ServiceUnderTest) -> IncidentStory:
    """Given maintenance in which a disk broke, a loss that was exempt, and an appeal that was upheld."""
    story = IncidentStory(service)
    await story.served()
    await story.run_told(at=HAPPENED - timedelta(hours=13))
    await story.service.tell(a_notice(story))
    work = await story.maintenance()
    await story.declares_unmet()
    await story.discloses("customer", at=await service.now())
    await story.reported()
    await story.determines("disk-damage-during-maintenance", data_lost=True, work_request_id=work, findings=[FINDING])
    await story.tries_recovery("failed")
    assert (await story.decides()).status_code == 200
    assert (await story.appeals()).status_code == 200
    assert (await story.decides_appeal()).status_code == 200
    await sealed(service)
    return story


def a_notice(story: IncidentStory, **changes: Any) -> NoticeDelivered:
    values = {
        "customer_id": story.customer_id,
        "notice_id": new_id(),
        "subject_id": UUID(story.contract),
        "contract_id": UUID(story.contract),
        "notice_kind": "service-registered",
        "caused_by": new_id(),
        "language": "en",
        "smtp_code": 250,
        "reply_sha256": "ef" * 32,
        "delivered_at": START,
    }
    return NoticeDelivered(**{**values, **changes})


async def sealed(service: ServiceUnderTest) -> None:
    sealer = Sealer(service.runtime.database, "contracts", service.runtime.data_dir)
    while await sealer.seal():
        pass


async def bundle_of(story: IncidentStory, what: str = "incident") -> bytes:
    about = f"incidents/{story.incident}" if what == "incident" else f"contracts/{story.contract}"
    answer = await story.http.get(f"/v1/{about}/evidence")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="evidence-{what}-')
    return answer.content


def read(content: bytes, name: str) -> Any:
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        found = bundle.read(name)
    return json.loads(found) if name.endswith(".json") else found


async def test_an_incident_leaves_as_a_bundle_that_holds_offline(story: IncidentStory, tmp_path: Path) -> None:
    """When its evidence is read, Then it verifies with nothing but the file, by the key that signs the audit trail."""
    content = await bundle_of(story)
    file = tmp_path / "evidence.zip"
    file.write_bytes(content)
    known = SigningKeys(story.service.runtime.data_dir).known()[-1].id
    found = verify(file, [known])
    assert (found.is_known, found.entries, found.subject["id"]) == (True, len(FILES) - 2, story.incident)
    assert found.audit_rows >= 8
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        assert bundle.namelist() == FILES
        assert {info.date_time for info in bundle.infolist()} == {(1980, 1, 1, 0, 0, 0)}


async def test_it_holds_what_was_agreed_decided_paid_backed_up_and_delivered(story: IncidentStory) -> None:
    """Then a lawyer finds the very text that was accepted, and every decision with its facts and parameters."""
    content = await bundle_of(story)
    [accepted] = read(content, "acceptances.json")
    text = read(content, accepted["text"])
    assert hashlib.sha256(text).hexdigest() == accepted["text_sha256"]
    assert text.startswith(b"# Server Maintenance Agreement, version 2026-1")
    decided = [row for row in read(content, "decisions.json") if row["subject_id"] == story.incident]
    assert [(row["kind"], row["verdict"], row["clause"]) for row in decided] == [
        ("incident.decide", "exempt", "2.1"),
        ("incident.decide-appeal", "upheld", "2.1"),
    ]
    assert decided[0]["parameters"] == {"minimum_recovery_attempts": 1}
    assert decided[0]["facts"]["recovery"]["attempts"] == 1
    assert [row["kind"] for row in read(content, "payments.json")] == ["payment-reported", "payment-audited"]
    assert [row["kind"] for row in read(content, "backups.json")] == ["backup-completed"]
    assert [row["facts"]["smtp_code"] for row in read(content, "notices.json")] == [250]
    assert [row["status"] for row in read(content, "contract.json")["periods"]] == ["paid"]
    [incident] = read(content, "incidents.json")
    assert incident["seen_sha256"] == hashlib.sha256(SEEN.encode()).hexdigest()
    assert incident["recovery_attempts"][0]["outcome"] == "failed"


async def test_software_that_the_customer_declared_is_its_own_responsibility_on_record_too(
    story: IncidentStory,
) -> None:
    """Then what was declared of the server (4.1) is there by its digest, with who answers for it."""
    content = await bundle_of(story)
    [declared, *_] = read(content, "software.json")
    assert (declared["source"], declared["component_count"], declared["channel"]) == ("by-hand", 1, "portal")
    decided = [row for row in read(content, "decisions.json") if row["subject_id"] == declared["id"]]
    assert [(row["verdict"], row["clause"]) for row in decided] == [("customer-responsible", "4.1")]
    assert declared in read(await bundle_of(story, "contract"), "software.json")


async def test_whether_remote_backup_was_applied_for_is_on_record(story: IncidentStory) -> None:
    """Then nobody has to believe that a loss might have been avoided by what the customer never asked for (2.3)."""
    assert read(await bundle_of(story), "remote-applications.json") == []
    ids = {
        "customer_id": story.customer_id,
        "application_id": new_id(),
        "contract_id": UUID(story.contract),
        "server_id": UUID(story.server_ids[0]),
        "agreement_version": "2026-1",
    }
    await story.service.tell(RemoteBackupApplied(**ids, applied_at=START))
    await story.service.tell(RemoteBackupDeclined(**ids, reason="too-large", declined_at=START))
    told = read(await bundle_of(story), "remote-applications.json")
    assert [row["kind"] for row in told] == ["remote-backup-applied", "remote-backup-declined"]
    assert told[1]["facts"]["reason"] == "too-large"


async def test_the_timeline_tells_what_happened_in_its_order(story: IncidentStory) -> None:
    moments = read(await bundle_of(story), "timeline.json")
    assert [moment["at"] for moment in moments] == sorted(moment["at"] for moment in moments)
    told = [moment["what"] for moment in moments]
    expected = [
        "agreement-accepted", "payment-reported", "payment-audited", "period-began", "backup-completed",
        "work-requested", "work-started", "conditions-declared-unmet", "incident-happened", "incident-reported",
        "secret-disclosed", "disclosure-reported", "recovery-attempted", "incident-decided", "incident-appealed",
        "appeal-decided",
    ]  # fmt: skip
    assert set(expected) <= set(told)
    assert told.index("incident-happened") < told.index("incident-reported") < told.index("appeal-decided")
    assert {moment["shown_in"] for moment in moments} <= set(FILES)


async def test_the_rows_of_the_audit_trail_are_there_with_their_hashes(story: IncidentStory) -> None:
    rows = read(await bundle_of(story), "audit.json")
    verbs = [row["event"]["verb"] for row in rows]
    for verb in ("accept-contract", "report-incident", "decide-incident", "appeal", "decide-appeal"):
        assert verb in verbs
    assert "register-customer" not in verbs, "it is about no contract"
    assert {row["chain"] for row in rows} == {str(story.customer_id)}


async def test_the_same_record_gives_the_same_bytes(story: IncidentStory) -> None:
    for what in ("incident", "contract"):
        assert await bundle_of(story, what) == await bundle_of(story, what)


async def test_nothing_in_it_is_personal_or_in_anybodys_own_words(story: IncidentStory) -> None:
    """Neither what was seen, nor the reason of the appeal, nor names, nor the address that it was accepted from."""
    for what in ("incident", "contract"):
        content = await bundle_of(story, what)
        # Every PDF begins like the evidence of the canaries' payment.
        canaries.insist_on_silence("the bundle", content.replace(b"%PDF-", b""))
        for words in (SEEN, OTHER_WORDS, "Ada Lovelace", "127.0.0.1", "web-1"):
            assert words.encode() not in content


async def test_a_contracts_bundle_holds_all_its_incidents_and_verifies(story: IncidentStory, tmp_path: Path) -> None:
    first = story.incident
    await story.reported(at=HAPPENED + timedelta(days=1))
    content = await bundle_of(story, "contract")
    assert [row["id"] for row in read(content, "incidents.json")] == [first, story.incident]
    (tmp_path / "evidence.zip").write_bytes(content)
    assert verify(tmp_path / "evidence.zip").subject["kind"] == "contract"
    alone = await bundle_of(story)
    assert [row["id"] for row in read(alone, "incidents.json")] == [story.incident]


async def test_an_incident_is_about_its_own_server_only(service: ServiceUnderTest) -> None:
    story = IncidentStory(service)
    await story.registered_customer()
    own, other = await story.server(), await story.server()
    await story.served()
    for server in (own, other):
        body = {"operation_code": "health-check", "server_id": server, "channel": "portal"}
        assert (await story.http.post(f"/v1/contracts/{story.contract}/work-requests", json=body)).status_code == 201
        await tell_of_failure(story, server)
    await story.reported()
    content = await bundle_of(story)
    assert {row["server_id"] for row in read(content, "work.json")} == {own}
    assert {row["server_id"] for row in read(content, "backups.json")} == {own}
    assert {row["server_id"] for row in read(await bundle_of(story, "contract"), "work.json")} == {own, other}


async def tell_of_failure(story: IncidentStory, server: str) -> Envelope:
    fact = BackupFailed(
        customer_id=story.customer_id,
        protection_id=new_id(),
        contract_id=UUID(story.contract),
        server_id=UUID(server),
        run_id=new_id(),
        slot_at=START,
        reason="restic-failed",
        failed_at=START,
    )
    return await story.service.tell(fact)


async def test_a_customer_reads_no_other_customers_evidence(story: IncidentStory) -> None:
    other = story.service.as_role(Role.CUSTOMER, customer_id=new_id())
    for path, code in (
        (f"/v1/incidents/{story.incident}/evidence", "NoSuchIncident"),
        (f"/v1/contracts/{story.contract}/evidence", "NoSuchContract"),
        (f"/v1/incidents/{new_id()}/evidence", "NoSuchIncident"),
        (f"/v1/contracts/{new_id()}/evidence", "NoSuchContract"),
    ):
        assert problem(await other.get(path)) == (404, code, None)
    assert (await story.service.as_role(Role.FINANCE).get(f"/v1/contracts/{story.contract}/evidence")).is_success


async def test_what_is_told_twice_is_kept_once_and_by_its_time(service: ServiceUnderTest) -> None:
    """Whatever order it arrives in; a notice of an older release, without its contract, counts for its subject."""
    story = IncidentStory(service)
    await story.served()
    later = await tell_of_failure(story, story.server_ids[0])
    earlier = await heard(story, a_notice(story, contract_id=None), at=later.time - timedelta(days=1))
    for envelope in (later, earlier, later):
        await hear(service, envelope)
    own = sa.select(sa.func.count()).where(evidence_facts.c.contract_id == UUID(story.contract))
    assert await service.scalar(own) == 4
    content = await bundle_of(story, "contract")
    told = [row["what"] for row in read(content, "timeline.json")]
    assert told.index("notice-delivered") < told.index("backup-failed")


async def heard(story: IncidentStory, fact: Fact, *, at: Any) -> Envelope:
    envelope = Envelope(
        id=new_id(),
        source=f"/{fact.producer}",
        type=fact.type_name(),
        subject=str(fact.aggregate_id()),
        time=at,
        dataschema="",
        aggseq=1,
        aggepoch=1,
        correlationid="test",
        data=fact.model_dump(mode="json"),
    )
    await hear(story.service, envelope)
    return envelope


async def hear(service: ServiceUnderTest, envelope: Envelope) -> None:
    async with service.runtime.database.transaction() as tx:
        for handle in service.handlers.handlers_of(envelope):
            await handle(tx, envelope)


async def test_many_facts_come_page_by_page_and_none_is_left_out(
    story: IncidentStory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where many share one instant."""
    monkeypatch.setattr("services.contracts.use_cases.evidence.bundling.PAGE", 3)
    told = {str((await tell_of_failure(story, story.server_ids[0])).id) for _ in range(10)}
    content = await bundle_of(story, "contract")
    assert {row["id"] for row in read(content, "backups.json") if row["kind"] == "backup-failed"} == told
    assert len([row for row in read(content, "timeline.json") if row["what"] == "backup-failed"]) == 10


async def test_more_facts_than_a_bundle_takes_are_refused(
    story: IncidentStory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.contracts.use_cases.evidence.bundling.MOST_FACTS", 3)
    answer = await story.http.get(f"/v1/contracts/{story.contract}/evidence")
    assert problem(answer) == (409, "BundleTooLarge", None)
    assert answer.json()["facts"] == {"most_facts": 3}


async def test_an_incidents_bundle_leaves_out_backups_that_were_gone_by_then(story: IncidentStory) -> None:
    """Given a backup that had to be deleted before it happened, Then only the bundle of the contract tells of it."""
    fact = (await tell_of_failure(story, story.server_ids[0])).data
    long_ago = BackupFailed(**{**fact, "run_id": new_id()})
    await heard(story, long_ago, at=HAPPENED - timedelta(days=31))
    assert len(read(await bundle_of(story), "backups.json")) == 2
    assert len(read(await bundle_of(story, "contract"), "backups.json")) == 3


async def test_only_so_many_bundles_are_made_at_once(story: IncidentStory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are told to come back, and a place is free again once one is done."""
    monkeypatch.setattr("services.contracts.api.evidence._making", asyncio.Semaphore(1))
    path = f"/v1/incidents/{story.incident}/evidence"
    answers = await asyncio.gather(*(story.http.get(path) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200, 503}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert problem(refused) == (503, "BundlesBusy", None)
    assert refused.headers["retry-after"]
    assert (await story.http.get(path)).status_code == 200


async def test_a_signed_acknowledgement_and_an_extension_are_on_record(service: ServiceUnderTest) -> None:
    """With the text that was acknowledged, without the circumstances that were explained."""
    story = WorkStory(service)
    await story.active()
    await story.assessed("kernel-upgrade")
    assert (await story.acknowledge()).status_code == 200
    told = {"reason": OTHER_WORDS, "channel": "portal"}
    asked = await story.http.post(f"/v1/contracts/{story.contract}/extensions", json=told)
    assert asked.status_code == 201, asked.text
    content = (await story.http.get(f"/v1/contracts/{story.contract}/evidence")).content
    [acknowledged] = read(content, "acknowledgements.json")
    assert hashlib.sha256(acknowledged["text"].encode()).hexdigest() == acknowledged["text_sha256"]
    assert [row["risk"] for row in read(content, "assessments.json")] == [3]
    assert [row["status"] for row in read(content, "extensions.json")] == ["requested"]
    assert OTHER_WORDS.encode() not in content
    told_in_order = [moment["what"] for moment in read(content, "timeline.json")]
    assert {"risk-assessed", "risk-acknowledged", "extension-requested"} <= set(told_in_order)


async def test_a_summary_is_in_the_language_of_the_agreement(service: ServiceUnderTest) -> None:
    story = IncidentStory(service)
    await story.drafted()
    assert (await story.do("accept", await story.offered("zh"))).status_code == 200
    await story.pays(1, reported_at=START, audited_at=START)
    content = await bundle_of(story, "contract")
    assert read(content, "acceptances.json")[0]["text"] == "agreement/2026-1.zh.md"
    pdf = read(content, "summary.pdf")
    assert pdf.startswith(b"%PDF-")
    assert b"STSong-Light" in pdf


async def test_a_key_that_cannot_be_read_is_an_answer(story: IncidentStory) -> None:
    folder = story.service.runtime.data_dir / "keys"
    (folder / "audit.pem").write_bytes(b"no key")
    answer = await story.http.get(f"/v1/incidents/{story.incident}/evidence")
    assert problem(answer) == (503, "SigningKeyAway", None)
