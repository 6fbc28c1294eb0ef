"""Profiles of Hypothesis: HYPOTHESIS_PROFILE=thorough tries more examples; ci tries the same ones each time."""

import os

from hypothesis import HealthCheck, settings

# No deadline and no complaint about slow data: a busy machine is not a broken law.
calm = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("local", calm, max_examples=100)
settings.register_profile("ci", calm, max_examples=200, derandomize=True)
settings.register_profile("thorough", calm, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "local"))
