"""Who may open a connection to whom under NetworkPolicies, computed as a network that enforces them would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from tests.deploy.kubernetes.rendered import Resource

OURS = "mainstay"


@dataclass(frozen=True)
class Party:
    """A kind of pod, or an address outside of the cluster; `ports` are those that are asked about."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = OURS
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    address: str = "10.244.0.9"
    ports: Mapping[int, str | None] = field(default_factory=dict)
    """Number → its name in the pod, which a policy may use instead."""
    is_pod: bool = True


def connections(policies: Sequence[Resource], parties: Sequence[Party]) -> set[tuple[str, str, int]]:
    """(from, to, port) for all that may; connections of the outside with itself are left out."""
    return {
        (source.name, target.name, port)
        for source in parties
        for target in parties
        if OURS in (_home(source), _home(target))
        for port in target.ports
        if _may(policies, "egress", source, target, port) and _may(policies, "ingress", target, source, port)
    }


def _home(party: Party) -> str | None:
    return party.namespace if party.is_pod else None


def _may(policies: Sequence[Resource], direction: str, subject: Party, peer: Party, port: int) -> bool:
    """Whether `subject` may be left for `peer`, or reached by it; the port is always the one that is listened on."""
    if _home(subject) != OURS:
        return True
    listens = peer if direction == "egress" else subject
    selecting = [
        policy["spec"]
        for policy in policies
        if direction.title() in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], subject.labels)
    ]
    rules = [rule for spec in selecting for rule in spec.get(direction, [])]
    return not selecting or any(_allows(rule, direction, peer, listens, port) for rule in rules)


def _allows(rule: Resource, direction: str, peer: Party, listens: Party, port: int) -> bool:
    peers = rule.get("to" if direction == "egress" else "from")
    wanted = [each["port"] for each in rule.get("ports", [])]
    named = listens.ports.get(port)
    return (peers is None or any(_is(each, peer) for each in peers)) and (
        not wanted or port in wanted or (named is not None and named in wanted)
    )


def _is(described: Resource, peer: Party) -> bool:
    if "ipBlock" in described:
        address, block = ip_address(peer.address), described["ipBlock"]
        excepted = any(address in ip_network(each) for each in block.get("except", []))
        return address in ip_network(block["cidr"]) and not excepted
    if not peer.is_pod:
        return False
    if "namespaceSelector" in described:
        if not _selects(described["namespaceSelector"], peer.namespace_labels):
            return False
    elif peer.namespace != OURS:
        return False
    return _selects(described.get("podSelector", {}), peer.labels)


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert set(selector) <= {"matchLabels", "matchExpressions"}, f"cannot judge {selector}"
    for each in selector.get("matchExpressions", []):
        assert each["operator"] == "In", f"cannot judge {each}"
        if labels.get(each["key"]) not in each["values"]:
            return False
    wanted: Mapping[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()
