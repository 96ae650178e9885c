"""The command line of Ordeal: builds, starts, waits and renders.

It holds no broker logic, injects no fault itself and computes no statistic over operations: the nemesis acts, the
checker judges and aggregates, and this package puts them together and shows what they said.
"""

__version__ = "0.1.0"
