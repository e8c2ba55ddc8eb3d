"""``python -m skrep``."""

import sys

from skrep.report.cli import main

if __name__ == "__main__":
    sys.exit(main())
