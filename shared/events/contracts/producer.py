"""What every fact of contracts says."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from shared.events.envelope import Fact

Text = Annotated[str, Field(max_length=200)]


class ContractsFact(Fact):
    producer: ClassVar[str] = "contracts"


class ContractFact(ContractsFact):
    aggregate: ClassVar[str] = "contract"
    key: ClassVar[str] = "contract_id"

    contract_id: UUID
    agreement_version: Text
