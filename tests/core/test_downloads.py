"""Downloads arrive whole, go on where they were cut, and leave nothing wrong behind; the server here is a real one."""

import hashlib
import http.server
import threading
from dataclasses import replace

import pytest
from motion4d.core import downloads
from motion4d.core.downloads import download, remote_size
from motion4d.core.specs import ReleasedFile

CONTENT = bytes(range(256)) * 20_000  # 5 MB


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, *, body):
        server = self.server
        server.asked.append((self.command, self.headers.get("Range")))
        if self.path in server.redirects or self.path not in server.files:
            self.send_response(302 if self.path in server.redirects else 404)
            self.send_header("Location", server.redirects.get(self.path, ""))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = server.files[self.path]
        span = self.headers.get("Range") if server.ranges else None
        start = int(span.removeprefix("bytes=").rstrip("-")) if span else 0
        self.send_response(206 if span else 200)
        if span:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
        self.end_headers()
        if body:
            until = server.cuts.pop(0) if server.cuts else len(content)
            self.wfile.write(content[start : max(start, until)])
            self.close_connection = True


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.redirects, server.cuts, server.asked, server.ranges = {"/model.bin": CONTENT}, {}, [], [], True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def file(server):
    address = f"http://127.0.0.1:{server.server_port}/model.bin"
    return ReleasedFile(name="deep/model.bin", repository="a/b", url=address, size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())


def left(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_the_file_arrives_and_nothing_else(server, file, tmp_path):
    steps = []
    path = download(file, tmp_path, advance=steps.append, local_http=True)
    assert path == tmp_path / "deep" / "model.bin" and path.read_bytes() == CONTENT
    assert sum(steps) == len(CONTENT) and left(tmp_path) == ["model.bin"]


def test_a_file_that_is_there_is_not_fetched_again(server, file, tmp_path):
    download(file, tmp_path, local_http=True)
    asked = len(server.asked)
    assert download(file, tmp_path, local_http=True).read_bytes() == CONTENT
    assert len(server.asked) == asked


def test_a_file_of_another_size_is_not_taken_for_it(server, file, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "model.bin").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"14 bytes, expected 5,120,000.*delete or rename"):
        download(file, tmp_path, local_http=True)
    assert (tmp_path / "deep" / "model.bin").read_bytes() == b"something else"


@pytest.mark.parametrize("known", [True, False])
def test_a_cut_connection_is_taken_up_within_the_download(server, file, tmp_path, known):
    server.cuts = [1_000_000, 3_000_000]
    if not known:
        file = replace(file, size=None, sha256=None)
    assert download(file, tmp_path, local_http=True).read_bytes() == CONTENT
    assert [span for method, span in server.asked if method == "GET"] == [None, "bytes=1000000-", "bytes=3000000-"]


class Interruption(Exception):
    pass


def interrupted(after):
    count = 0

    def advance(steps):
        nonlocal count
        count += steps
        if count >= after:
            raise Interruption

    return advance


def test_an_interrupted_download_goes_on_later(server, file, tmp_path):
    with pytest.raises(Interruption):
        download(file, tmp_path, advance=interrupted(2_000_000), local_http=True)
    (part,) = left(tmp_path)
    assert part.endswith(".part") and not (tmp_path / "deep" / "model.bin").exists()
    have = (tmp_path / "deep" / part).stat().st_size
    steps = []
    assert download(file, tmp_path, advance=steps.append, local_http=True).read_bytes() == CONTENT
    assert server.asked[-1] == ("GET", f"bytes={have}-") and steps[0] == have and sum(steps) == len(CONTENT)
    assert left(tmp_path) == ["model.bin"]


def test_a_file_that_has_changed_meanwhile_is_fetched_from_its_beginning(server, file, tmp_path):
    unchecked = replace(file, size=None, sha256=None)
    with pytest.raises(Interruption):
        download(unchecked, tmp_path, advance=interrupted(2_000_000), local_http=True)
    server.files["/model.bin"] = changed = CONTENT[::-1]
    assert download(unchecked, tmp_path, local_http=True).read_bytes() == changed
    assert server.asked[-1] == ("GET", None) and left(tmp_path) == ["model.bin"]


def test_a_server_that_knows_no_ranges_is_asked_from_the_beginning(server, file, tmp_path):
    server.ranges = False
    with pytest.raises(Interruption):
        download(file, tmp_path, advance=interrupted(2_000_000), local_http=True)
    steps = []
    assert download(file, tmp_path, advance=steps.append, local_http=True).read_bytes() == CONTENT
    assert sum(steps) == len(CONTENT)


def test_a_connection_that_brings_nothing_ends_the_download_and_keeps_what_is_there(server, file, tmp_path):
    server.cuts = [1_000_000, 0]
    with pytest.raises(ConnectionError, match="lost after 1,000,000 of 5,120,000"):
        download(file, tmp_path, local_http=True)
    assert left(tmp_path)[0].endswith(".part")
    assert download(file, tmp_path, local_http=True).read_bytes() == CONTENT


def test_contents_with_another_checksum_are_deleted(server, file, tmp_path):
    server.files["/model.bin"] = CONTENT[:-1] + b"?"
    with pytest.raises(ValueError, match=r"SHA-256.*deleted"):
        download(file, tmp_path, local_http=True)
    assert left(tmp_path) == []


def test_a_file_of_another_size_is_refused_before_it_is_fetched(server, file, tmp_path):
    server.files["/model.bin"] = CONTENT[:-1]
    with pytest.raises(ValueError, match="5,119,999 bytes, expected 5,120,000"):
        download(file, tmp_path, local_http=True)
    assert left(tmp_path) == [] and all(method == "HEAD" for method, _ in server.asked)


def test_a_full_disk_is_told_before_the_download(server, file, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 100_000_000 // 2})
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=r"too full for model\.bin: it needs 0\.01 GB"):
        download(file, tmp_path, local_http=True)
    assert left(tmp_path) == [] and all(method == "HEAD" for method, _ in server.asked)


def test_the_size_is_asked_without_fetching(server, file):
    assert remote_size(replace(file, size=None), local_http=True) == len(CONTENT)
    assert server.asked == [("HEAD", None)]


def test_redirections_are_followed_but_not_out_of_https(server, file, tmp_path):
    server.redirects["/moved"] = "/model.bin"
    moved = replace(file, url=file.url.replace("model.bin", "moved"))
    assert download(moved, tmp_path, local_http=True).read_bytes() == CONTENT
    server.redirects["/moved"] = "http://example.invalid/model.bin"
    with pytest.raises(ValueError, match="https://"):
        remote_size(moved, local_http=True)
    server.redirects["/moved"] = "file:///etc/hostname"
    with pytest.raises(ConnectionError, match="not allowed"):
        remote_size(moved, local_http=True)


@pytest.mark.parametrize("url", ["http://example.invalid/a", "file:///etc/hostname", "ftp://example.invalid/a", "http://127.0.0.1:1/a"])
def test_only_https_is_fetched(file, tmp_path, url):
    with pytest.raises(ValueError, match="https://"):
        download(replace(file, url=url), tmp_path)


@pytest.mark.parametrize("name", ["../model.bin", "/tmp/model.bin", "C:\\model.bin"])
def test_names_that_lead_out_of_the_folder_are_refused(server, file, tmp_path, name):
    with pytest.raises(ValueError, match="leads out of the folder"):
        download(replace(file, name=name), tmp_path, local_http=True)
    assert server.asked == []


def test_a_server_that_refuses_or_does_not_answer(server, file, tmp_path):
    with pytest.raises(ConnectionError, match=r"404.*look in the repository"):
        download(replace(file, url=file.url + "x"), tmp_path, local_http=True)
    server.socket.close()
    with pytest.raises(ConnectionError, match="cannot be reached"):
        download(replace(file, url="http://127.0.0.1:9/model.bin"), tmp_path, local_http=True)
