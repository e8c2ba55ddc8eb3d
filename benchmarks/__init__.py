"""Measurements: ``python -m benchmarks NAME``. Ratios against a named peer, alternating runs, medians."""
