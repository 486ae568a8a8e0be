"""Text that goes out compressed to whoever takes it so (RFC 9110, section 12.5.3)."""

import gzip

from flask import Response, request


class CompressedText:
    """One text, compressed when it is made and sent any number of times."""

    def __init__(self, text: str | bytes, media_type: str) -> None:
        self._plain = text.encode() if isinstance(text, str) else text
        self._gzipped = gzip.compress(self._plain, mtime=0)
        self._media_type = media_type

    def response(self) -> Response:
        """Answer the current request: in the form it accepts, or 304 if it has that already."""
        gzipped = request.accept_encodings["gzip"] > 0
        response = Response(self._gzipped if gzipped else self._plain, mimetype=self._media_type)
        if gzipped:
            response.content_encoding = "gzip"
        response.vary.add("Accept-Encoding")
        response.add_etag()
        response.make_conditional(request)
        return response
