"""Responses and sessions of requests, from a real server on this machine."""

from skips import needs

needs("requests")

DEFINITIONS = """
import http.server
import threading

import requests


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/end")
            self.end_headers()
            return
        body = b'{"path": "' + self.path.encode() + b'"}' + b" " * 5000
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Set-Cookie", "taste=sweet; Path=/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *parts):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}"
session = requests.Session()
session.headers["X-Mine"] = "yes"
session.auth = ("user", "secret")
session.get(address + "/first")


def raised():
    try:
        session.get(address + "/missing").raise_for_status()
    except requests.HTTPError as error:
        return error
"""
CASES = {
    "response": (
        "session.get(address + '/a', params={'q': 1})",
        "[v.json(), v.status_code, dict(v.headers), v.url, v.encoding, v.elapsed]",
        True,
        "v.ok and v.headers['content-type'] == 'application/json' and v.request.headers['X-Mine'] == 'yes'",
        True,
        5000,
    ),
    "redirected": (
        "requests.get(address + '/moved')",
        "[v.url, [one.status_code for one in v.history]]",
        True,
        "v.history[0].is_redirect",
    ),
    "error": ("raised()", "[str(v), v.response.status_code, v.response.text]", True, "v.request.method == 'GET'"),
    "session": (
        "session",
        "[dict(v.headers), v.cookies.get_dict(), v.auth]",
        True,
        "sorted(v.adapters) == ['http://', 'https://']",
    ),
    "request": ("requests.Request('POST', address, json={'a': 1}).prepare()", "[v.body, dict(v.headers), v.method]"),
    "cookies": ("session.cookies", "v.get_dict()"),
    "headers": ("requests.structures.CaseInsensitiveDict(A=1)", "v['a']"),
}
REFUSALS = {
    "connection": ("requests.get(address + '/b', stream=True).raw", r"`value\._fp\.fp` is an open file"),
    "server": ("server", r"`value\._BaseServer__is_shut_down\._cond\._lock` is a lock"),
}


def test_comes_back(zoo, case):
    assert zoo[case] == []


def test_refusal_names_the_thing(zoo, refusal):
    assert zoo[refusal] == []
