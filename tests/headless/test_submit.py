"""Against a small server that answers as ComfyUI does; the real one is in tests/comfyui."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from motion4d.headless.settings import UsageError
from motion4d.headless.submit import Server, SubmitFailure, submit

INFO = {
    "Load": {"input": {"required": {"file": ["COMBO", {"options": ["there.bvh"], "motion4d_upload": [".bvh"]}]}}},
    "Save": {"input": {"required": {"motion": ["M", {}], "kind": [["npz", "bvh"], {}]}, "hidden": {"prompt": ["PROMPT"]}}},
}


class Fake(BaseHTTPRequestHandler):
    """State is on the server object: `history` is what a run ends with, `waits` how many polls it takes,
    `missing` the bytes of a file that never arrive."""

    def log_message(self, *_):
        pass

    def _answer(self, body, status=200, *, missing=0):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) + missing))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        state, parts = self.server.state, urlsplit(self.path)
        state["seen"].append(parts.path)
        if parts.path.startswith("/object_info/"):
            name = parts.path.rsplit("/", 1)[1]
            self._answer({name: INFO[name]} if name in INFO else {})
        elif parts.path.startswith("/history/"):
            state["waits"] -= 1
            self._answer({parts.path.rsplit("/", 1)[1]: state["history"]} if state["waits"] < 0 else {})
        elif parts.path == "/queue":
            self._answer({"queue_running": [[0, state.get("id")]] if state["queued"] else [], "queue_pending": []})
        elif parts.path == "/view":
            query = {key: value[0] for key, value in parse_qs(parts.query).items()}
            self._answer(f"{query.get('subfolder', '')}/{query['filename']}".encode(), missing=state["missing"])

    def do_POST(self):
        state, body = self.server.state, self.rfile.read(int(self.headers["Content-Length"]))
        state["seen"].append(self.path)
        if self.path == "/upload/image":
            state["upload"] = body
            self._answer({"name": "walk (1).bvh", "subfolder": "", "type": "input"})
        elif self.path == "/prompt":
            state["prompt"] = json.loads(body)
            state["id"] = state["prompt"]["prompt_id"]
            self._answer(*state["accept"](state["prompt"]))
        else:
            self._answer(b"")


@pytest.fixture
def fake():
    """(address, state) of a running server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Fake)
    server.state = {
        "seen": [], "waits": 2, "queued": True, "missing": 0, "history": {"status": {"status_str": "success", "completed": True}, "outputs": {}},
        "accept": lambda prompt: ({"prompt_id": prompt["prompt_id"], "node_errors": {}}, 200),
    }  # fmt: skip
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", server.state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def flow(prompt):
    return prompt(n1=("Load", {"file": "there.bvh"}), n2=("Save", {"motion": ["1", 0], "kind": "npz"}))


def send(flow, fake, tmp_path, **named):
    return submit(flow, Server(fake[0]), tmp_path / "out", poll=0.01, **named)


def test_outputs_come_back_each_once(flow, fake, tmp_path):
    made = {"filename": "a.npz", "subfolder": "deep/er", "type": "output"}
    fake[1]["history"]["outputs"] = {
        "2": {"files": [made, made], "text": ["hello"], "images": [{"filename": "p.png", "subfolder": "", "type": "temp"}]}
    }
    states = []
    assert send(flow, fake, tmp_path, on_state=states.append) == [tmp_path / "out" / "deep" / "er" / "a.npz"]
    assert (tmp_path / "out" / "deep" / "er" / "a.npz").read_text() == "deep/er/a.npz"
    assert states == ["running"]
    assert sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file()) == ["a.npz"]
    # What is there already is not lost.
    fake[1]["waits"] = 0
    assert send(flow, fake, tmp_path) == [tmp_path / "out" / "deep" / "er" / "a_2.npz"]


def test_a_server_cannot_write_outside_the_output_folder(flow, fake, tmp_path):
    for entry in ({"filename": "../x", "subfolder": ""}, {"filename": "x", "subfolder": "../.."}):
        fake[1]["history"]["outputs"] = {"2": {"files": [{**entry, "type": "output"}]}}
        with pytest.raises(ValueError, match="leads out"):
            send(flow, fake, tmp_path)


def test_a_file_that_the_server_lacks_is_uploaded(flow, fake, tmp_path):
    (tmp_path / "walk.bvh").write_bytes(b"HIERARCHY \x00\r\n--")
    flow["1"]["inputs"]["file"] = "walk.bvh"
    send(flow, fake, tmp_path, folders=[tmp_path])
    assert b'name="image"; filename="walk.bvh"\r\n' in fake[1]["upload"] and b"\r\n\r\nHIERARCHY \x00\r\n--\r\n--" in fake[1]["upload"]
    assert fake[1]["prompt"]["prompt"]["1"]["inputs"]["file"] == "walk (1).bvh"


@pytest.mark.parametrize("way", ["absolute", "../secret.bvh", "deep/../../secret.bvh"])
def test_a_workflow_cannot_send_files_from_outside_the_input_folders(flow, fake, tmp_path, way):
    (tmp_path / "input" / "deep").mkdir(parents=True)
    (tmp_path / "secret.bvh").write_text("private")
    flow["1"]["inputs"]["file"] = named = str(tmp_path / "secret.bvh") if way == "absolute" else way
    send(flow, fake, tmp_path, folders=[tmp_path / "input"])
    assert "upload" not in fake[1] and fake[1]["prompt"]["prompt"]["1"]["inputs"]["file"] == named


def test_a_file_given_with_set_is_not_replaced_by_one_of_its_name(flow, fake, tmp_path):
    for folder in ("given", "input"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "walk (1).bvh").write_text(folder)
    server = Server(fake[0])
    flow["1"]["inputs"]["file"] = server.upload(tmp_path / "given" / "walk (1).bvh")
    submit(flow, server, tmp_path / "out", folders=[tmp_path / "input"], poll=0.01)
    assert b"\r\n\r\ngiven\r\n--" in fake[1]["upload"]


def test_a_download_that_breaks_off_leaves_nothing(flow, fake, tmp_path):
    fake[1]["history"]["outputs"] = {"2": {"files": [{"filename": "a.npz", "subfolder": "", "type": "output"}]}}
    fake[1]["missing"] = 3
    with pytest.raises(SubmitFailure, match=r"a\.npz.*3 bytes"):
        send(flow, fake, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_file_that_the_server_has_is_not_uploaded(flow, fake, tmp_path):
    (tmp_path / "there.bvh").write_bytes(b"another")
    send(flow, fake, tmp_path, folders=[tmp_path])
    assert "upload" not in fake[1]


def test_errors_beside_an_accepted_workflow_count(flow, fake, tmp_path):
    error = {"type": "value_not_in_list", "message": "Value not in list", "details": "kind", "extra_info": {"input_name": "kind"}}
    errors = {"2": {"errors": [error], "class_type": "Save", "dependent_outputs": ["2"]}}
    fake[1]["accept"] = lambda prompt: ({"prompt_id": prompt["prompt_id"], "node_errors": errors}, 200)
    with pytest.raises(SubmitFailure, match=r"node 2 \(Save\), input kind: Value not in list"):
        send(flow, fake, tmp_path)
    assert fake[1]["seen"][-2:] == ["/queue", "/interrupt"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            {"error": {"type": "prompt_no_outputs", "message": "Prompt has no outputs", "details": ""}, "node_errors": {}},
            "Prompt has no outputs",
        ),
        ({"error": "plainly wrong"}, "plainly wrong"),
        ({"nothing": 1}, "answers 400"),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(flow, fake, tmp_path, answer, reason):
    fake[1]["accept"] = lambda _: (answer, 400)
    with pytest.raises(SubmitFailure, match=reason):
        send(flow, fake, tmp_path)


def test_a_failed_node_is_named(flow, fake, tmp_path):
    flow["2"]["_meta"] = {"title": "Save it"}
    error = {"node_id": "2", "node_type": "Save", "exception_type": "ValueError", "exception_message": "no room\n"}
    fake[1]["history"] = {
        "status": {"status_str": "error", "completed": False, "messages": [["execution_start", {}], ["execution_error", error]]}
    }
    with pytest.raises(SubmitFailure, match=r"node 2 \(Save it\): ValueError: no room"):
        send(flow, fake, tmp_path)


def test_a_run_that_takes_too_long_is_cancelled(flow, fake, tmp_path):
    fake[1]["waits"] = 10**6
    with pytest.raises(SubmitFailure, match=r"within 0\.05 s"):
        send(flow, fake, tmp_path, timeout=0.05)
    assert fake[1]["seen"][-2:] == ["/queue", "/interrupt"]


def test_a_run_that_the_server_has_forgotten_ends(flow, fake, tmp_path):
    fake[1].update(waits=10**6, queued=False)
    with pytest.raises(SubmitFailure, match="no longer knows"):
        send(flow, fake, tmp_path)


def test_a_node_that_the_server_lacks_is_named(prompt, fake, tmp_path):
    with pytest.raises(SubmitFailure, match=r"node 1 .*no such node"):
        send(prompt(n1=("Absent", {})), fake, tmp_path)


def test_nobody_at_the_address(flow, tmp_path):
    with pytest.raises(SubmitFailure, match="cannot be reached"):
        submit(flow, Server("http://127.0.0.1:9"), tmp_path)


@pytest.mark.parametrize("address", ["127.0.0.1:8188", "file:///etc/passwd", "ftp://host", "http://", ""])
def test_only_http_addresses_are_taken(address):
    with pytest.raises(UsageError, match="expected an address like"):
        Server(address)
