"""Bias of monitors in masses: what a RATA found a monitor to read too low is made good in mass alone. Pure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from collector.verdicts.assurance import Assurance, bias_factors
from collector.verdicts.loads import Hours

FLOW = "gas_flow"  # what the RATA of a flow monitor is of, whether it shows flow or velocity


def adjusted(found: Assurance, hours: Hours) -> Hours:
    """Mass by the hour with the bias factors of the monitors that it is made of; as it is where there are none.

    Source: 40 CFR 75 appendix A 7.6.5: the adjusted value is the value times the factor, in hours after the test.
    """
    names = [*hours.of, *([FLOW] if "velocity" in hours.of else [])]
    factor = np.ones(len(hours.windows))
    for name in names:
        factor = factor * bias_factors(found, name, hours.windows.from_ns)
    if (factor == 1.0).all():
        return hours
    return replace(hours, rate=hours.rate * factor, taken={**hours.taken, "bias_factor": factor})
