"""Simulated time and simulated engines: thousands of bad days of a few seconds each, by number."""
