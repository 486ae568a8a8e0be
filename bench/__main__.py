"""Run every measurement: `python -m bench`."""

from bench import feedback_latency, report_speed, turn_latency

turn_latency.main()
feedback_latency.main()
report_speed.main()
