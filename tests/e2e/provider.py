"""A provider that answers OpenAI's chat completions and embeddings on this machine, in a thread of the test.

Below ``/fail/<status>`` of its base URL it answers nothing but that status.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

USAGE: Final = {"prompt_tokens": 25, "completion_tokens": 12, "total_tokens": 37}
EMBEDDED: Final = {"prompt_tokens": 8, "total_tokens": 8}


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Any path: one answer, streamed when asked; a stream carries usage only when asked for it."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "/fail/" in self.path:
            status = int(self.path.partition("/fail/")[2][:3])
            self._send("application/json", {"error": {"message": "no", "type": "x", "code": str(status)}}, status)
            return
        if self.path.endswith("/embeddings"):
            vector = {"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}
            told = {"object": "list", "data": [vector], "model": asked["model"], "usage": EMBEDDED}
            self._send("application/json", told)
            return
        said = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": 1, "model": asked["model"]}
        if asked.get("stream"):
            self._stream(said, bool((asked.get("stream_options") or {}).get("include_usage")))
        else:
            message = {"role": "assistant", "content": "Four."}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            self._send("application/json", {**said, "object": "chat.completion", "choices": [choice], "usage": USAGE})

    def _stream(self, said: dict[str, Any], counted: bool) -> None:
        said["object"] = "chat.completion.chunk"
        word = {"index": 0, "delta": {"role": "assistant", "content": "Four."}, "finish_reason": None}
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        chunks = [{**said, "choices": [word]}, {**said, "choices": [end]}]
        if counted:
            chunks.append({**said, "choices": [], "usage": USAGE})
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
        self._send("text/event-stream", "".join(lines))

    def _send(self, media: str, body: dict[str, Any] | str, status: int = 200) -> None:
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def provider() -> Iterator[str]:
    """Its base URL, as `api_base` wants it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
