"""`python -m aectl` is the command `aectl`."""

import sys

from aectl.cli import main

if __name__ == "__main__":
    sys.exit(main())
