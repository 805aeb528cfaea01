"""Figures of the product, measured on the machine at hand: `python -m benchmarks NAME`."""
