"""How gunicorn serves the app: gevent workers, made for long-lived WebSockets."""

import os
import resource
import shutil
import tempfile

from gevent import monkey

monkey.patch_all()

from app.errors import SettingsError  # noqa: E402
from app.observability import logging_config  # noqa: E402  (after the patching)
from app.settings import load_settings  # noqa: E402

try:
    _settings = load_settings()
except SettingsError as _error:
    raise SystemExit(_error.message) from None

# A socket is a file descriptor; the usual soft limit of 1,024 would end before the sockets do.
_, _hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_hard_limit, _hard_limit))

wsgi_app = "app:create_app()"
_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host
bind = f"{_host}:{_settings.port}"
workers = _settings.web_concurrency
worker_class = "app.web.worker.ChatWorker"
# Idle sockets count too; beyond this number new connections would hang without a word.
worker_connections = 20_000
# The most that gunicorn takes: a comment in a query needs up to nine bytes for each character.
limit_request_line = 8190
graceful_timeout = 30
# A client that reuses a connection in the moment it is closed loses its request; browsers keep
# connections for a minute or so, so ours last longer.
keepalive = 75
# The heartbeat of a gevent worker runs in its hub: silence means that something blocks it.
timeout = 60
# Whom to believe is TRUSTED_PROXIES' business; gunicorn would believe any client on this machine.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
accesslog = None
logconfig_dict = logging_config(user_text=_settings.log_user_text)
# A second way in that nothing here uses.
control_socket_disable = True

_has_own_folder = workers > 1 and "PROMETHEUS_MULTIPROC_DIR" not in os.environ
if _has_own_folder:
    # Where workers share what `/metrics` counts. prometheus_client reads the name when imported.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="thumbprint-metrics-")


def child_exit(server, worker):  # type: ignore[no-untyped-def]  # noqa: D103, ARG001
    if workers > 1:
        from prometheus_client import multiprocess

        # Its sockets and turns are gone; what it has counted stays.
        multiprocess.mark_process_dead(worker.pid)


def on_exit(server):  # type: ignore[no-untyped-def]  # noqa: D103, ARG001
    if _has_own_folder:
        shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
