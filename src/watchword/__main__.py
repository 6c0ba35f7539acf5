"""`python -m watchword` is the command `watchword`."""

import sys

from watchword.cli import main

if __name__ == "__main__":
    sys.exit(main())
