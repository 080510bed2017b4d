"""``python -m fastdescent`` is the command ``fastdescent``."""

import sys

from fastdescent.cli import main

if __name__ == "__main__":
    sys.exit(main())
