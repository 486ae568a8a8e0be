"""The defences of SECURITY.md, each with a small change that takes it out.

`old` stands exactly once in `file`. Rows are named as in the table's first column; a row may have
several mutations, and its test has to notice each of them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One change to one file."""

    row: str
    file: str
    old: str
    new: str


IDENTITY = "app/web/identity.py"
SOCKET = "app/web/socket.py"
CONNECTION = "app/web/chat_connection.py"
OPEN_SOCKETS = "app/web/open_sockets.py"
SEATS = "app/web/seats.py"
LIMITS = "app/web/limits.py"
HOSTS = "app/web/hosts.py"
OPERATOR = "app/web/operator.py"
PAGES = "app/web/pages.py"
RENDERING = "app/rendering.py"
ORIGIN = "if socket or request.method in _CHANGES:"

MUTATIONS = (
    # Strangers
    Mutation("S1", IDENTITY, ORIGIN, "if request.method in _CHANGES:"),
    Mutation("S2", IDENTITY, "may_be_new=not socket", "may_be_new=True"),
    Mutation("S3", IDENTITY, ORIGIN, "if socket:"),
    Mutation(
        "S4",
        IDENTITY,
        'if request.mimetype != "application/json":',
        'if "json" not in request.mimetype:',
    ),
    Mutation("S4", IDENTITY, ' or "Transfer-Encoding" in request.headers', ""),
    Mutation(
        "S5",
        HOSTS,
        "if name not in known and not (known and host_is_trusted(name, known)):",
        "if not name:",
    ),
    Mutation("S6", HOSTS, "    if believed:", "    if believed := believed or 1:"),
    Mutation("S7", "gunicorn.conf.py", 'forwarded_allow_ips = ""', 'forwarded_allow_ips = "*"'),
    Mutation("S8", PAGES, "\"default-src 'none'; ", "\"default-src 'self'; "),
    Mutation("S8", PAGES, '    "X-Frame-Options": "DENY",\n', ""),
    Mutation("S8", PAGES, '    "X-Content-Type-Options": "nosniff",\n', ""),
    Mutation("S8", PAGES, "frame-ancestors 'none'", "frame-ancestors *"),
    Mutation("S9", "app/web/errors.py", '"Something went wrong on our side."', "str(error)"),
    # Other people
    Mutation(
        "P1",
        IDENTITY,
        "found = self.session_class(serializer.loads(value))",
        "found = self.session_class(serializer.loads_unsafe(value)[1])",
    ),
    Mutation(
        "P2",
        "app/store/conversations.py",
        "(conversations.c.id == conversation_id, conversations.c.user_id == user_id)",
        "(conversations.c.id == conversation_id,)",
    ),
    Mutation("P2", "app/feedback.py", " and turn.user_id != user_id", " and not turn.user_id"),
    Mutation(
        "P2",
        "app/store/turns.py",
        "_find_by(user=turns.c.user_id, request",
        "_find_by(request",
    ),
    Mutation(
        "P3",
        "app/store/turns.py",
        "conversations.c.id == conversation_id, conversations.c.user_id == user_id\n    )",
        "conversations.c.id == conversation_id\n    )",
    ),
    Mutation("P4", IDENTITY, "return request.is_secure", "return False"),
    Mutation("P4", IDENTITY, "SESSION_COOKIE_HTTPONLY=True", "SESSION_COOKIE_HTTPONLY=False"),
    Mutation("P4", IDENTITY, 'SESSION_COOKIE_SAMESITE="Lax"', "SESSION_COOKIE_SAMESITE=None"),
    Mutation("P5", IDENTITY, ', "assets.asset"}', "}"),
    Mutation(
        "P6",
        IDENTITY,
        "SECRET_KEY_FALLBACKS=list(settings.secret_key_fallbacks)",
        "SECRET_KEY_FALLBACKS=[]",
    ),
    Mutation("P6", IDENTITY, "not serializer.loads_unsafe(value)[0]", "False"),
    Mutation(
        "P7",
        "app/settings.py",
        "path.hardlink_to(draft.name)",
        "path.write_text(Path(draft.name).read_text())",
    ),
    Mutation("P8", "app/observability.py", 'getattr(error, "in_short", WITHHELD)', "error"),
    Mutation(
        "P9",
        "app/tracing/spans.py",
        "secrets.randbits(128)",
        "__import__('random').getrandbits(128)",
    ),
    Mutation("P10", "app/store/database.py", "mkdir(mode=0o700, ", "mkdir("),
    # Floods
    Mutation(
        "F1", SOCKET, "settings.chat_max_message_chars * 12 + 1024", "settings.max_sockets * 10**6"
    ),
    Mutation(
        "F2", "app/protocol.py", "if len(content) > max_message_chars:", "if len(content) < 0:"
    ),
    Mutation("F3", LIMITS, 'self._people.count(self._messages, "message", user_id)', "pass"),
    Mutation(
        "F4", LIMITS, 'self._addresses.count(self._per_address, "message from", address)', "pass"
    ),
    Mutation("F5", SEATS, "if self._taken >= self._in_all:", "if self._in_all < 0:"),
    Mutation("F5", SEATS, ">= self._per_user:", ">= self._per_user + 1:"),
    Mutation("F5", SEATS, ">= self._per_address:", ">= self._per_address + 1:"),
    Mutation("F5", SOCKET, "parts.seats.leave(self._seat)", "pass"),
    Mutation("F6", SOCKET, "if self.idle():", "if not self._parts:"),
    Mutation("F7", CONNECTION, "self.writer.offer(self._ping)", "pass"),
    Mutation("F7", OPEN_SOCKETS, "self._close(socket, *verdict)", "pass"),
    Mutation(
        "F8", "app/web/worker.py", "socket.TCP_USER_TIMEOUT, DEAD_PEER_MS", "socket.TCP_NODELAY, 1"
    ),
    Mutation("F9", "app/web/upgrade.py", '"HTTP_SEC_WEBSOCKET_EXTENSIONS"', '"HTTP_NOTHING"'),
    Mutation("F10", CONNECTION, "READ_AT_ONCE = 4096", "READ_AT_ONCE = 4096 * 1024"),
    Mutation(
        "F11",
        SOCKET,
        'except Exception:\n            log.exception("a socket failed")',
        'except ZeroDivisionError:\n            log.exception("a socket failed")',
    ),
    Mutation(
        "F12", "app/factory.py", 'app.config["MAX_CONTENT_LENGTH"] = longest * 12 + 64 * 1024', ""
    ),
    Mutation(
        "F12", IDENTITY, "if len(request.get_data()) == request.max_content_length:", "if False:"
    ),
    Mutation("F13", IDENTITY, "except RecursionError:", "except ZeroDivisionError:"),
    Mutation(
        "F14", "app/web/feedback_labels.py", "if text in known else OTHER", "if True else OTHER"
    ),
    Mutation("F15", "app/web/address.py", "(int(address), 64)", "(int(address), 128)"),
    # The model
    Mutation("M1", RENDERING, "_CLEANER.clean(", "(lambda html: html)("),
    Mutation("M2", RENDERING, '{"html": False, **options}', '{"html": True, **options}'),
    Mutation("M3", RENDERING, "return _ADDRESS.match(url) is not None", "return True"),
    Mutation("M4", RENDERING, 'link_rel="noopener noreferrer nofollow"', "link_rel=None"),
    Mutation(
        "M5",
        "app/turns/running.py",
        "return self._room < 0",
        "return False",
    ),
    Mutation("M6", "app/llm/endpoint.py", "_LONGEST_LINE = 1_000_000", "_LONGEST_LINE = 10**12"),
    Mutation("M7", "frontend/inline.js", "link.dataset.to = to;", "link.lang = to;"),
    Mutation("M8", "app/turns/engine.py", "if now > turn.deadline:", "if now < 0:"),
    # The operator's side
    Mutation("O1", OPERATOR, "    guarded.before_request(OperatorGate(settings).admit)\n", ""),
    Mutation("O2", OPERATOR, "and _is_loopback(request.remote_addr)", ""),
    Mutation(
        "O3", OPERATOR, "and not any(name in request.headers for name in self._forwarded)", ""
    ),
    Mutation("O3", OPERATOR, "and _is_loopback(name_asked_for())", ""),
    Mutation("O4", OPERATOR, "        self._guesses.check(address)\n", ""),
    Mutation("O5", LIMITS, 'parse("60/minute")', 'parse("6000/minute")'),
    Mutation("O6", OPERATOR, "hmac.compare_digest(digest, self._known)", "digest == self._known"),
    Mutation(
        "O7",
        IDENTITY,
        ORIGIN,
        "if (socket or request.method in _CHANGES) and not operator.asks_for_area():",
    ),
    Mutation("O8", "app/insights/as_csv.py", 'return f"\'{cell}"', "return cell"),
    Mutation("O9", "app/insights/as_text.py", 'one if one.isprintable() else " " for', "one for"),
    Mutation("O10", "app/tracing/links.py", 'return quote(id_, safe="")', "return id_"),
    Mutation(
        "O11",
        "app/setting_types.py",
        'if not well_formed or "@" in address.netloc:',
        "if not value:",
    ),
    Mutation(
        "O12",
        "app/settings.py",
        "without_password(self.tracking_uri)",
        "self.tracking_uri",
    ),
    Mutation("O13", "app/settings.py", "if name in _SECRETS or came", "if came"),
    Mutation(
        "O14", "app/settings.py", 'self.app_environment == "production" and not', "False and not"
    ),
    # The machine, and what we build on
    Mutation("D1", "app/store/group_commit.py", "if not _is_open(connection):", "if False:"),
    Mutation("D2", "app/store/database.py", "                self._check_pages(connection)\n", ""),
    Mutation("D3", IDENTITY, "serializer.loads(value))", "serializer.loads(value, max_age=10**8))"),
    Mutation("D4", "app/outbox.py", "now + LONGEST_WAIT_MS}", "now + 10**15}"),
    Mutation("D5", "supply/audit.py", "if len(unasked) == len(report):", "if not report:"),
    Mutation("D5", "supply/audit.py", "    if holes:\n", "    if not holes:\n"),
    Mutation("D6", "supply/licences.py", "if unknown or not named:", "if not named:"),
    Mutation("D6", "supply/licences.py", "if unknown or not named:", "if unknown:"),
    Mutation("D7", "supply/release.txt", "\nflask==", "\nflask==3.0."),
    Mutation("D8", "app/store/faults.py", "    sqlite3.SQLITE_FULL: NO_ROOM,\n", ""),
    Mutation(
        "D9",
        "app/feedback.py",
        "request_key is None or note_key(connection, turn.id, request_key)",
        "True",
    ),
)
