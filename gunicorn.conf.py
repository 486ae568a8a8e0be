"""How gunicorn serves the app: gevent workers, made for long-lived WebSockets."""

from gevent import monkey

monkey.patch_all()

from app.errors import SettingsError  # noqa: E402
from app.observability import configure_logging  # noqa: E402  (after the patching)
from app.settings import load_settings  # noqa: E402

try:
    _settings = load_settings()
except SettingsError as _error:
    raise SystemExit(_error.message) from None

wsgi_app = "app:create_app()"
bind = f"{_settings.host}:{_settings.port}"
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
accesslog = None
# A second way in that nothing here uses.
control_socket_disable = True


def post_fork(_server, _worker):  # type: ignore[no-untyped-def]
    """Set up the log of each worker."""
    configure_logging()
