"""The benchmarks of test/bench/run: one module each, and what they share."""
