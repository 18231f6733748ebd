"""`python -m tests.faults.away_for_long`: customers sign while Kafka or PostgreSQL is away for a minute."""

from __future__ import annotations

import argparse
import asyncio

from tests.faults import test_kafka, test_postgres
from tests.faults.workload import History
from tests.infrastructure.kafka_server import running_kafka_pair
from tests.infrastructure.postgres import PostgresServer, running_postgres
from tests.system import installation


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.away_for_long")
    parser.add_argument("--seconds", type=float, default=60)
    seconds = parser.parse_args().seconds
    with running_postgres() as postgres:
        kafka_away(postgres, seconds)
        postgres_away(postgres, seconds)


def kafka_away(postgres: PostgresServer, seconds: float) -> None:
    histories: list[History] = []
    with (
        running_kafka_pair() as kafka,
        installation.split(postgres, kafka=kafka, replicas=1, name="long_kafka") as company,
    ):
        for trouble in test_kafka.TROUBLES:
            asyncio.run(test_kafka.sign_through(company, kafka, histories, trouble, for_seconds=seconds))
            print(f"Kafka {trouble} for {seconds:.0f} s: {histories[-1].summary()}", flush=True)


def postgres_away(postgres: PostgresServer, seconds: float) -> None:
    histories: list[History] = []
    with installation.split(postgres, kafka=None, replicas=1, name="long_postgres") as company:
        asyncio.run(test_postgres.sign_through(company, postgres, histories, "freeze", frozen_seconds=seconds))
        print(f"PostgreSQL frozen for {seconds:.0f} s: {histories[-1].summary()}", flush=True)


if __name__ == "__main__":
    main()
