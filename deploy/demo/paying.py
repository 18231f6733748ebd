"""Invoices, payments with evidence, and their audit (clauses 3.2 and 3.6)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from deploy.demo import papers
from deploy.demo.client import Person, instant
from deploy.demo.rows import Row, Rows, expect_status, minute, require
from deploy.demo.stage import Stage


class Paying(Stage):
    async def _pay_first(self) -> Rows:
        invoice = await self._invoice(1)
        yield self._invoice_row(invoice)
        async for row in self._refused_reports(invoice):
            yield row
        self.busy("Reporting the payment")
        payment = await self._report(
            self.customer, invoice, channel="portal", evidence=("transfer.pdf", papers.PDF, "application/pdf")
        )
        self.feed.expect("payment-reported")
        yield Row(
            when=instant(payment["reported_at"]),
            who="Customer",
            what=f"reports {payment['amount']['text']} with a PDF as evidence",
            clause="3.2",
            event="PaymentReported",
        )
        payment = await self._approve(payment)
        yield self._audit_row(payment)
        self.busy("Waiting for the service to be registered")
        contract = await self._contract_when(
            "registering the service", lambda seen: seen["status"] == "active", "an active contract"
        )
        first = contract["periods"][0]
        require(
            "registering the service",
            instant(first["starts_at"]) == instant(payment["audited_at"]),
            f"a start at the audit's instant {payment['audited_at']}",
            first["starts_at"],
        )
        self.feed.expect("service-registered")
        yield Row(
            when=instant(first["starts_at"]),
            who="Contracts",
            what=f"registers the service from the audit's instant until {minute(first['ends_at'])}",
            clause="3.2",
            event="ServiceRegistered",
        )

    async def _invoice(self, period: int) -> Any:
        self.busy("Waiting for the invoice")
        step = f"issuing the invoice of period {period}"

        async def look() -> list[Any]:
            return await self.customer.all(step, "/billing/v1/invoices", contract_id=self.contract_id)

        def issued(found: list[Any]) -> bool:
            return any(one["period_index"] == period and one["status"] == "issued" for one in found)

        found = await self.installation.until(step, look, issued, expected="an issued invoice")
        own = [one for one in found if one["period_index"] == period]
        require(step, len(own) == 1, "one invoice for the period", len(own))
        invoice = own[0]
        self.feed.expect("invoice-issued")
        parts = [invoice[part]["minor"] for part in ("net", "tax", "mailing")]
        require(step, sum(parts) == invoice["total"]["minor"], f"a total of {sum(parts)}", invoice["total"])
        require(step, all(parts), "fee, tax and mailing on lines of their own", parts)
        lines = Counter(line["amount"]["minor"] for line in invoice["lines"])
        require(step, sum(lines.elements()) == invoice["total"]["minor"], "lines that sum to the total", lines)
        return invoice

    def _invoice_row(self, invoice: Any) -> Row:
        net, tax, mailing, total = (invoice[part]["text"] for part in ("net", "tax", "mailing", "total"))
        return Row(
            when=instant(invoice["issued_at"]),
            who="Billing",
            what=f"issues {invoice['number']}: fee {net} + tax {tax} + mailing {mailing} = {total}",
            clause="3.6",
            event="InvoiceIssued",
        )

    async def _refused_reports(self, invoice: Any) -> Rows:
        self.busy("Reporting payments that cannot be")
        right = {
            "invoice_id": invoice["id"],
            "amount_minor": str(invoice["total"]["minor"]),
            "currency": "EUR",
            "channel": "portal",
        }
        pdf = ("transfer.pdf", papers.PDF, "application/pdf")
        program = ("transfer.pdf", papers.PROGRAM, "application/pdf")
        large = ("scan.pdf", papers.too_large(), "application/pdf")
        cases: tuple[tuple[str, dict[str, str], papers.Upload, int, str, str], ...] = (
            ("pays by word of mouth", {"channel": "oral"}, pdf, 422, "OralRequest", "3.1"),
            ("pays in dollars", {"currency": "USD"}, pdf, 422, "WrongCurrency", "3.2"),
            ("sends a program as evidence", {}, program, 415, "EvidenceOfWrongType", "3.2"),
            ("sends a scan of more than 5 MiB", {}, large, 413, "EvidenceTooLarge", "3.2"),
        )
        for what, changed, evidence, status, code, clause in cases:
            refusal = await self.customer.refused(
                what,
                "POST",
                "/billing/v1/payments",
                status=status,
                code=code,
                clause=clause,
                data={**right, **changed},
                files={"evidence": evidence},
            )
            yield await self._refused("Customer", what, refusal.code, refusal.clause)
        stored = await self.customer.all("refused payments", "/billing/v1/payments", invoice_id=invoice["id"])
        require("refused payments", not stored, "nothing stored", stored)

    async def _report(
        self,
        person: Person,
        invoice: Any,
        *,
        channel: str,
        evidence: papers.Upload | None = None,
        bank_reference: str | None = None,
    ) -> Any:
        form = {
            "invoice_id": invoice["id"],
            "amount_minor": str(invoice["total"]["minor"]),
            "currency": invoice["total"]["currency"],
            "channel": channel,
        }
        form |= {"bank_reference": bank_reference} if bank_reference else {}
        # A form without a file is still a multipart form to httpx as long as `files` is not empty.
        files: dict[str, Any] = (
            {"evidence": evidence} if evidence else {name: (None, value) for name, value in form.items()}
        )
        return await person.send(
            "reporting the payment",
            "POST",
            "/billing/v1/payments",
            data=form if evidence else None,
            files=files,
        )

    async def _approve(self, payment: Any) -> Any:
        self.busy("Auditing the payment")
        path = f"/billing/v1/payments/{payment['id']}/approve"
        approved = await self.auditor.send("approving the payment", "POST", path)
        expect_status("approving the payment", approved, "approved")
        self.feed.expect("payment-audited")
        self.feed.expect("invoice-settled")
        return approved

    def _audit_row(self, payment: Any) -> Row:
        return Row(
            when=instant(payment["audited_at"]),
            who="Auditor",
            what=f"approves {payment['amount']['text']}; the invoice is covered",
            clause="3.2",
            event="PaymentAudited",
        )
