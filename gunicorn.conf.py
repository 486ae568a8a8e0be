"""How gunicorn serves the app: gevent workers, made for long-lived WebSockets."""

import resource

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
