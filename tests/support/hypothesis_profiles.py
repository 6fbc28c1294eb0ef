"""Profiles of Hypothesis: other examples in each run, the same ones in CI; HYPOTHESIS_PROFILE=thorough tries most."""

import os

from hypothesis import HealthCheck, settings

from tests.support.sizes import sized

CALM = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
"""No deadline and no complaint about slow data: a busy machine is not a broken law."""


def load_profile() -> None:
    """Have Hypothesis try as many examples as this run asks for."""
    settings.register_profile("sized", CALM, max_examples=sized(40, 200), derandomize="CI" in os.environ)
    settings.register_profile("thorough", CALM, max_examples=3000)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "sized"))
