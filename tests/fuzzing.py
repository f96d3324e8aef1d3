"""How hard the parsers are tried: ``SEGFAST_FUZZ=20`` tries twenty times as many inputs as every day."""

import os

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("SEGFAST_FUZZ", "1"))


def tries(count: int) -> settings:
    """Return hypothesis' settings for ``count`` inputs on an ordinary day."""
    return settings(max_examples=count * TIMES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
