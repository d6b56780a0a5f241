"""The lab of the scenarios, the demo and the benchmarks."""
