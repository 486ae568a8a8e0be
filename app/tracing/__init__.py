"""The only package that writes to MLflow: `spans` records a turn, `tracking` delivers it.

A trace is recorded in memory and written to the tracking server when its turn has ended: at once by
the web process, or later by the relay, from its JSON in the outbox and under the same trace ID.
MLflow's own exporter is replaced because it swallows every failure (a warning in a log is all that
is left of a trace) and costs one request a span.
"""

import os

# Else MLflow prints its log lines its own way when it is imported.
os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
