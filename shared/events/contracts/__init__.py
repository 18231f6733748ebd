"""What the contracts service tells, a module per subject; whoever hears it imports it from here."""

from __future__ import annotations

from shared.events.contracts import customers, emergencies, incidents, refunds, service, software, vault, work
from shared.events.contracts.customers import (
    CustomerRegistered,
    ServerRegistered,
    ZoneChanged,
)
from shared.events.contracts.emergencies import (
    EmergencyAcknowledged,
    EmergencyEscalated,
    EmergencyFact,
    EmergencyReported,
    EmergencyResolved,
    EmergencyWithdrawn,
)
from shared.events.contracts.incidents import (
    AppealDecided,
    ConditionsDeclaredUnmet,
    IncidentDecided,
    IncidentReported,
)
from shared.events.contracts.producer import ContractFact
from shared.events.contracts.refunds import (
    RefundRequested,
    RefundTakenBack,
    ServiceRefunded,
    WarrantyClaimed,
)
from shared.events.contracts.service import (
    ContractAccepted,
    ContractWithdrawn,
    ExtensionRefused,
    ExtensionRequested,
    RenewalRefused,
    RenewalRequested,
    ServiceExpired,
    ServiceExpiring,
    ServiceExtended,
    ServiceHeld,
    ServiceRegistered,
    ServiceRenewed,
    StopRequested,
)
from shared.events.contracts.software import SoftwareDeclared
from shared.events.contracts.vault import (
    DisclosedSecretReplaced,
    RotationOverdue,
    SecretDisclosed,
    SecretRevealed,
)
from shared.events.contracts.work import (
    WorkAccepted,
    WorkAcknowledged,
    WorkAssessed,
    WorkCompleted,
    WorkFailed,
    WorkHeld,
    WorkRefused,
    WorkReleased,
    WorkRequested,
    WorkRequestFact,
    WorkRescheduled,
    WorkScheduled,
    WorkSignedOff,
    WorkStarted,
    WorkWithdrawn,
)
from shared.events.envelope import Fact

FACTS: list[type[Fact]] = [
    *customers.FACTS,
    *service.FACTS,
    *refunds.FACTS,
    *work.FACTS,
    *software.FACTS,
    *emergencies.FACTS,
    *incidents.FACTS,
    *vault.FACTS,
]

__all__ = [
    "FACTS",
    "AppealDecided",
    "ConditionsDeclaredUnmet",
    "ContractAccepted",
    "ContractFact",
    "ContractWithdrawn",
    "CustomerRegistered",
    "DisclosedSecretReplaced",
    "EmergencyAcknowledged",
    "EmergencyEscalated",
    "EmergencyFact",
    "EmergencyReported",
    "EmergencyResolved",
    "EmergencyWithdrawn",
    "ExtensionRefused",
    "ExtensionRequested",
    "IncidentDecided",
    "IncidentReported",
    "RefundRequested",
    "RefundTakenBack",
    "RenewalRefused",
    "RenewalRequested",
    "RotationOverdue",
    "SecretDisclosed",
    "SecretRevealed",
    "ServerRegistered",
    "ServiceExpired",
    "ServiceExpiring",
    "ServiceExtended",
    "ServiceHeld",
    "ServiceRefunded",
    "ServiceRegistered",
    "ServiceRenewed",
    "SoftwareDeclared",
    "StopRequested",
    "WarrantyClaimed",
    "WorkAccepted",
    "WorkAcknowledged",
    "WorkAssessed",
    "WorkCompleted",
    "WorkFailed",
    "WorkHeld",
    "WorkRefused",
    "WorkReleased",
    "WorkRequestFact",
    "WorkRequested",
    "WorkRescheduled",
    "WorkScheduled",
    "WorkSignedOff",
    "WorkStarted",
    "WorkWithdrawn",
    "ZoneChanged",
]
