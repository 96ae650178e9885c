"""Benchmarks: figures, never verdicts. Every figure comes with the machine's facts, and ratios are within one run."""
