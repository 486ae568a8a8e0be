"""How gunicorn serves the app: gevent workers, made for long-lived WebSockets."""

import signal

import gevent
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
worker_class = "gevent"
# Idle sockets count too; beyond this number new connections would hang without a word.
worker_connections = 20_000
graceful_timeout = 30
# The heartbeat of a gevent worker runs in its hub: silence means that something blocks it.
timeout = 60
accesslog = None
# A second way in that nothing here uses.
control_socket_disable = True


def post_fork(_server, _worker):  # type: ignore[no-untyped-def]
    """Set up the log of each worker."""
    configure_logging()


def post_worker_init(worker):  # type: ignore[no-untyped-def]
    """Watch over turns, and when told to stop, let streams finish and send idle sockets away."""
    services = worker.wsgi.extensions["thumbprint"]
    services.watch.start()

    def stop(number, frame):  # type: ignore[no-untyped-def]
        services.engine.refuse_new_turns()
        gevent.spawn(services.sockets.drain)  # a signal handler must not block the hub
        worker.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, stop)


def worker_exit(_server, worker):  # type: ignore[no-untyped-def]
    """Let turns that nobody watches finish too."""
    if worker.wsgi:
        worker.wsgi.extensions["thumbprint"].engine.wait_until_idle(graceful_timeout - 5)
