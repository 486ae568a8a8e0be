"""Run every measurement: `python -m bench`."""

from bench import turn_latency

turn_latency.main()
