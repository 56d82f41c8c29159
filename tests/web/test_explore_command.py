"""``pcm3 explore``: what it says, and a real server behind it."""

import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest

from pcm3.errors import install
from pcm3.web.serve import allowed_hosts, serve


@pytest.fixture
def explore(cli, finished_path, store_path, tmp_path):
    """Runs the command with more words, on a folder of its own."""
    return lambda *words: cli("explore", finished_path, store_path, "--folder", tmp_path / "kept", *words)


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--port", "70000"], "expected a port, 0 to 65535, got 70000"),
     (["--host", "192.0.2.1"], "cannot be opened"),
     (["--device", "abacus"], "abacus")],
)  # fmt: skip
def test_what_makes_no_sense_is_told_in_one_line(explore, words, told):
    found = explore(*words)
    assert found.code == 2
    assert told in found.err
    assert found.err.count("\n") == 1


def test_a_port_that_is_taken_is_told_so(explore):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = explore("--port", port)
    assert (found.code, found.err) == (
        2, f"pcm3 explore: --port: port {port} of 127.0.0.1 is taken: choose another (0: any free one)\n"
    )  # fmt: skip


def test_the_folder_may_not_lie_in_a_store(cli, finished_path, store_path):
    found = cli("explore", finished_path, store_path, "--folder", store_path / "kept")
    assert found.code == 2
    assert "lies in the store" in found.err


def test_without_the_libraries_it_says_which_extra_brings_them(explore, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)
    assert explore().err == f"pcm3 explore: needs the library uvicorn: {install('web')}\n"


def test_a_page_is_served_at_the_address_that_is_printed_until_it_is_stopped(explore, monkeypatch, store_path, capsys):
    import uvicorn

    servers = []
    run = uvicorn.Server.run
    monkeypatch.setattr(uvicorn.Server, "run", lambda own, sockets: (servers.append(own), run(own, sockets)))
    asked = {}

    def ask():
        while not servers or not servers[0].started:
            pass
        host, port = servers[0].servers[0].sockets[0].getsockname()
        for name, headers in (("stranger", {}), ("evil", {"Host": "evil.example"})):
            try:
                urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/api/about", headers=headers))
            except urllib.error.HTTPError as error:
                asked[name] = (error.code, json.loads(error.read())["detail"])
                error.close()
        servers[0].should_exit = True

    visitor = threading.Thread(target=ask)
    visitor.start()
    found = explore("--json")
    visitor.join()
    assert found.code == 0
    assert re.search(r"^http://127\.0\.0\.1:\d+/#token=[\w-]{32}$", found.out, re.M)
    assert found.json["labelled"] == 0
    assert asked["stranger"][0] == 401
    assert asked["evil"][0] == 403


def test_the_work_begins_when_the_routes_are_made(explorer, monkeypatch):
    """Both silence warnings, and in two threads at once one takes away the other's silence: a page did not open."""
    import uvicorn

    from pcm3.web import routes

    done = []
    made = routes.explorer_app
    monkeypatch.setattr(routes, "explorer_app", lambda explorer: (made(explorer), done.append("routes"))[0])
    monkeypatch.setattr(type(explorer), "begin", lambda explorer: done.append("work"))
    monkeypatch.setattr(uvicorn.Server, "run", lambda own, sockets: done.append("server"))
    serve(explorer, "127.0.0.1", 0, lambda address: done.append("address"))
    assert done == ["routes", "work", "address", "server"]


def test_a_request_that_never_ends_does_not_keep_it_from_ending(explorer, monkeypatch):
    import uvicorn

    servers = []
    run = uvicorn.Server.run
    monkeypatch.setattr(uvicorn.Server, "run", lambda own, sockets: (servers.append(own), run(own, sockets)))
    monkeypatch.setattr("pcm3.web.serve.LAST_ANSWERS", 1)
    addresses, slow = [], []

    def ask():
        while not servers or not servers[0].started:
            time.sleep(0.01)
        host, port, token = re.search(r"//(.*):(\d+)/#token=(.*)", addresses[0]).groups()
        slow.append(socket.create_connection((host, int(port))))
        slow[0].sendall(
            f"POST /api/labels HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{".encode()
        )
        time.sleep(0.3)
        servers[0].should_exit = True

    visitor = threading.Thread(target=ask)
    visitor.start()
    server = threading.Thread(target=serve, args=(explorer, "127.0.0.1", 0, addresses.append), daemon=True)
    server.start()
    server.join(20)
    ended = not server.is_alive()
    visitor.join()
    slow[0].close()
    assert ended


def test_hosts_are_those_of_this_machine_unless_it_listens_everywhere():
    assert allowed_hosts("127.0.0.1", 80) == {"127.0.0.1:80", "localhost:80", "[::1]:80"}
    assert "192.168.0.7:80" in allowed_hosts("192.168.0.7", 80)
    assert allowed_hosts("0.0.0.0", 80) == frozenset()
