"""Names of test cases that are the same in every process, as pytest-xdist needs them."""

import re
from typing import Any


def named(value: Any) -> str:
    """The value's own words without addresses in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))
