"""`python -m tests.compose`: builds the images, and plays the company on both set-ups while containers die."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time

from tests.compose import development, production

SET_UPS = {"development": development.check, "production": production.check}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.compose")
    parser.add_argument("--only", choices=SET_UPS, help="one of the two set-ups")
    parser.add_argument("--keep", action="store_true", help="leave it running, to look at")
    given = parser.parse_args()
    if shutil.which("docker") is None:
        sys.exit("This needs Docker with Compose 2.24 or later: docs.docker.com/engine/install")
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {name}: {what}", flush=True)

    for name in [given.only] if given.only else SET_UPS:
        asyncio.run(SET_UPS[name](say, keep=given.keep))
    print(f"{time.monotonic() - began:6.0f} s  everything held", flush=True)


if __name__ == "__main__":
    main()
