"""`python -m deploy.cli`"""

import time

STARTED = time.monotonic()

if __name__ == "__main__":
    from deploy.cli.main import main

    main(STARTED)
