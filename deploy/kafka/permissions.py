"""What a cluster tells a user about topics: whether they are there and led, and what this user may do with each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from deploy.kafka.requests import OPERATIONS

NO_SUCH_TOPIC, FORBIDDEN = 3, 29
NOBODY = -1


@dataclass(frozen=True)
class TopicSeen:
    """`may`: the operations that this user is allowed; of a topic that is not there, nothing is known."""

    is_there: bool
    is_visible: bool
    may: frozenset[str] = frozenset()
    without_leader: int = 0
    without_a_replica: int = 0


class _Answer(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8")))),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("name", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("in_sync", Array(Int32)),
                        ("offline", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("authorized_operations", Int32),
    )


class _Question(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("may_create_topics", Boolean),
        ("with_operations_on_cluster", Boolean),
        ("with_operations_on_topics", Boolean),
    )


class _Describe(Request[_Question]):  # type: ignore[misc]
    """aiokafka asks an older version, which leaves the permissions out."""

    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[_Question]) -> _Question:
        return request_struct_class(self._topics, False, False, True)


async def seen(admin: AIOKafkaAdminClient, topics: Collection[str]) -> dict[str, TopicSeen]:
    """Each of these topics as this user sees it; raises KafkaError."""
    answer = await admin._send_request(_Describe(topics))
    return {name: _seen(code, partitions, bits) for code, name, _, partitions, bits in answer.topics}


def _seen(
    code: int, partitions: Collection[tuple[int, int, int, int, list[int], list[int], list[int]]], bits: int
) -> TopicSeen:
    return TopicSeen(
        is_there=code != NO_SUCH_TOPIC,
        is_visible=code != FORBIDDEN,
        may=frozenset(name for name, bit in OPERATIONS.items() if bits >> bit & 1),
        without_leader=sum(leader == NOBODY for _, _, leader, *_ in partitions),
        without_a_replica=sum(len(in_sync) < len(replicas) for *_, replicas, in_sync, _ in partitions),
    )
