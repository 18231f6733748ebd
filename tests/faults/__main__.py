"""`python -m tests.faults --minutes 60 --seed 7`: terms with deaths on every set-up, one seed after the other."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.faults.killing import kill_through_a_term
from tests.faults.seams import seams_of
from tests.infrastructure.kafka_server import KafkaServer, running_kafka
from tests.infrastructure.postgres import PostgresServer, running_postgres
from tests.simulation.agenda import Dice
from tests.system import installation
from tests.system.installation import Installation

SET_UPS = ("embedded", "sql", "kafka")
CUSTOMERS = 8
SHARE_AT_SEAMS = 0.6
"""Of the processes; the others die at any moment."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    given = parser.parse_args()
    end = time.monotonic() + given.minutes * 60
    seed = given.seed
    with ExitStack() as stack:
        postgres, kafka = stack.enter_context(running_postgres()), stack.enter_context(running_kafka())
        while time.monotonic() < end:
            for set_up in SET_UPS:
                if not _plays(set_up, seed, postgres, kafka):
                    sys.exit(1)
            seed += 1


def _plays(set_up: str, seed: int, postgres: PostgresServer, kafka: KafkaServer) -> bool:
    began = time.monotonic()
    print(f"seed {seed} on {set_up}", flush=True)
    dice = Dice(seed, set_up)
    with _running(set_up, seed, postgres, kafka) as company:
        at_seams = {
            name: dice.random.sample(seams, dice.random.randint(1, min(len(seams), 6)))
            for name in company.processes
            if (seams := seams_of(name)) and (set_up == "embedded" or dice.falls(SHARE_AT_SEAMS))
        }
        # In every other run leases run out by themselves, which takes up to half a minute for a timer's.
        playing = kill_through_a_term(company, at_seams, seed=seed, customers=CUSTOMERS, leases_run_out=dice.falls(0.5))
        try:
            killer = asyncio.run(playing)
        except Exception as error:
            print(f"FAILED: seed {seed} on {set_up}: {error!r}", flush=True)
            return False
    print(f"  {time.monotonic() - began:.0f} s; {killer.history.summary()}; deaths {dict(killer.deaths)}", flush=True)
    return True


@contextmanager
def _running(set_up: str, seed: int, postgres: PostgresServer, kafka: KafkaServer) -> Iterator[Installation]:
    if set_up == "embedded":
        with installation.embedded() as company:
            yield company
        return
    own_kafka = kafka if set_up == "kafka" else None
    with installation.split(postgres, kafka=own_kafka, replicas=1, name=f"soak_{set_up}_{seed}") as company:
        yield company


if __name__ == "__main__":
    main()
