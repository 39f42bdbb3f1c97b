"""Benchmarks. Each module measures one thing, as ratios within one run."""
