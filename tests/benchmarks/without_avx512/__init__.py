"""Benchmarks as on a processor that has AVX2 and no AVX-512. Only for benchmarks: it changes a loaded library."""
