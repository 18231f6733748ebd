"""`python -m deploy.cli`"""

import gc
import time

STARTED = time.monotonic()

if __name__ == "__main__":
    # What imports make stays: to look through it for garbage again and again takes a fifth of a start.
    gc.disable()
    from deploy.cli.main import main

    gc.freeze()
    gc.enable()
    main(STARTED)
