"""`python -m midstream.rehearsal.engine`: serve until a signal ends it."""

import logging
import sys
import time

from midstream.rehearsal.engine.options import parse
from midstream.rehearsal.engine.shutdown import EngineServer


def main() -> None:
    """Serve as the command line says."""
    options = parse(sys.argv[1:])
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s.%(msecs)03dZ %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"
    )
    EngineServer(options).run()


if __name__ == "__main__":
    main()
