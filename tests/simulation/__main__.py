"""`python -m tests.simulation --customers 2000 --years 10 --seed 7`: the same, for hours."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys

from tests.simulation.simulation import simulate


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--customers", type=int, default=2000)
    parser.add_argument("--years", type=float, default=10)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    given = parser.parse_args()
    print(f"seed {given.seed}, {given.customers} customers, {given.years} years", flush=True)
    try:
        result = asyncio.run(simulate(given.seed, given.customers, given.years, lambda line: print(line, flush=True)))
    except AssertionError:
        sys.exit(1)
    print(f"digest {result.digest}; " + ", ".join(f"{count} {name}" for name, count in result.figures.items()))
    print("deaths: " + ", ".join(f"{count} {where}" for where, count in result.deaths.items()))


if __name__ == "__main__":
    main()
