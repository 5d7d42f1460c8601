"""Figures, as ratios against a baseline in the same run: `make bench`. Never a test: machines are shared and noisy."""
