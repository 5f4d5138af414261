"""The benchmarks: each module measures one thing on a synthetic load and says what it found as plain values."""
