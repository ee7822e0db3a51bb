"""Sends a workflow to a running ComfyUI: uploads its files, follows it and brings the outputs back. Standard library only."""

import json
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..core.formats.atomic import replacing
from ..nodes.host import confined
from .graph import Problem, Prompt, Sockets, choices, sockets, title
from .settings import UsageError, file_inputs


class SubmitFailure(Exception):
    """The server could not be reached, refused the workflow or failed in it; the message has a line for each reason."""


class Server:
    """One ComfyUI server. timeout: seconds that one answer may take. uploaded: what this run's files are called there."""

    def __init__(self, url: str, *, timeout: float = 60.0):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise UsageError(f"--server {url}: expected an address like http://127.0.0.1:8188")
        self.url, self.timeout = url.rstrip("/"), timeout
        self.uploaded: set[str] = set()

    def open(self, path: str, data: bytes | None = None, kind: str = "application/json"):
        """The open response to a GET, or to a POST of `data`; SubmitFailure if there is none."""
        request = urllib.request.Request(self.url + path, data=data, headers={"Content-Type": kind} if data is not None else {})
        try:
            return urllib.request.urlopen(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            body = error.read().decode("utf-8", "replace")
            raise SubmitFailure(_refusal(body) or f"{self.url}{path.split('?')[0]} answers {error.code} {error.reason}") from None
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise SubmitFailure(f"{self.url} cannot be reached ({reason}): is ComfyUI running there?") from None

    def json(self, path: str, body: Any = None) -> Any:
        """The answer to a GET, or to a POST of `body` as JSON."""
        with self.open(path, None if body is None else json.dumps(body).encode()) as answer:
            text = answer.read().decode("utf-8", "replace")
        try:
            return json.loads(text) if text.strip() else {}
        except ValueError:
            raise SubmitFailure(f"{self.url}{path} does not answer as ComfyUI does: {text[:80]!r}") from None

    def upload(self, file: Path) -> str:
        """Put a file into the server's input folder; its name there, which differs if another file has it already."""
        boundary = uuid.uuid4().hex
        quoted = file.name.replace("\\", "_").replace('"', "_")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{quoted}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        data = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        with self.open("/upload/image", data, f"multipart/form-data; boundary={boundary}") as answer:
            stored = json.load(answer)
        name = "/".join(part for part in (stored.get("subfolder"), stored["name"]) if part)
        self.uploaded.add(name)
        return name

    def download(self, entry: dict[str, str], folder: Path) -> Path:
        """Bring an output file into `folder`, under its own name or, where that is taken, a numbered one."""
        path = confined(folder, f"{entry.get('subfolder') or '.'}/{entry['filename']}")
        number, free = 1, path
        while free.exists():
            number += 1
            free = path.with_name(f"{path.stem}_{number}{path.suffix}")
        query = urllib.parse.urlencode({"filename": entry["filename"], "subfolder": entry.get("subfolder", ""), "type": entry["type"]})
        with self.open(f"/view?{query}") as answer, replacing(free) as temporary, temporary.open("wb") as target:
            shutil.copyfileobj(answer, target)
            if answer.length:
                raise SubmitFailure(f"{self.url} broke off in the middle of {entry['filename']}: {answer.length} bytes are missing")
        return Path(folder, free.relative_to(folder.resolve()))


def server_inputs(server: Server, prompt: Prompt) -> Callable[[str], Sockets]:
    """Asks the server which inputs the nodes of the workflow have."""
    kinds = {str(node.get("class_type")) for node in prompt.values()}
    infos = {kind: server.json(f"/object_info/{urllib.parse.quote(kind, safe='')}").get(kind) for kind in sorted(kinds)}
    for name, node in prompt.items():
        if infos[str(node.get("class_type"))] is None:
            problem = Problem("missing_node_type", f"{server.url} has no such node", node=name, class_type=str(node.get("class_type")))
            raise SubmitFailure(str(problem))

    def inputs(name: str) -> Sockets:
        return sockets(infos[prompt[name]["class_type"]]["input"], prompt[name]["inputs"])

    return inputs


def submit(
    prompt: Prompt,
    server: Server,
    output: Path,
    *,
    inputs: Callable[[str], Sockets] | None = None,
    folders: Sequence[Path] = (),
    timeout: float | None = None,
    poll: float = 0.5,
    on_state: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Run `prompt` on `server` and return the files that it wrote, as paths below `output`.

    A file named in a file widget that the server does not have is uploaded if it lies in one of `folders`. timeout: seconds for the whole run.

    Raises:
        SubmitFailure: with ComfyUI's words for every node that was refused, or for the one that failed.
    """
    _upload_files(prompt, server, inputs or server_inputs(server, prompt), folders)
    ours = str(uuid.uuid4())
    answer = server.json("/prompt", {"prompt": prompt, "client_id": str(uuid.uuid4()), "prompt_id": ours})
    ours = answer.get("prompt_id", ours)
    try:
        if answer.get("node_errors"):
            raise SubmitFailure("\n".join(_node_errors(answer["node_errors"])))
        outputs = _follow(prompt, server, ours, timeout=timeout, poll=poll, on_state=on_state)
    except (SubmitFailure, KeyboardInterrupt):
        _cancel(server, ours)
        raise
    entries = [
        one for shown in outputs.values() for group in shown.values() if isinstance(group, list) for one in group if isinstance(one, dict)
    ]
    files = {(one.get("subfolder", ""), one["filename"]): one for one in entries if one.get("type") == "output" and "filename" in one}
    return [server.download(one, output) for one in files.values()]


def _upload_files(prompt: Prompt, server: Server, inputs: Callable[[str], Sockets], folders: Sequence[Path]) -> None:
    for node, name, value in file_inputs(prompt, inputs):
        kind, options = inputs(node)[name]
        if value not in server.uploaded and value not in choices(kind, options):
            file = _local_file(value, folders)
            if file:
                prompt[node]["inputs"][name] = server.upload(file)


def _local_file(name: str, folders: Sequence[Path]) -> Path | None:
    """The file of that name in the first folder that has it; a workflow may come from anyone, so a name that leads out finds nothing."""
    for folder in folders:
        try:
            path = confined(folder, name)
        except ValueError:
            continue
        if path.is_file():
            return path
    return None


def _follow(
    prompt: Prompt, server: Server, ours: str, *, timeout: float | None, poll: float, on_state: Callable[[str], None]
) -> dict[str, dict]:
    """Wait for the run and return what its output nodes show."""
    started, state, lost = time.monotonic(), "", 0
    while True:
        entry = server.json(f"/history/{ours}").get(ours)
        if entry:
            status = entry.get("status") or {}
            if status.get("status_str") == "success" or status.get("completed"):
                return entry.get("outputs") or {}
            raise SubmitFailure(_failure(prompt, status))
        queue = server.json("/queue")
        waiting = sorted(queue.get("queue_pending", []), key=lambda one: one[0])
        place = next((at for at, one in enumerate(waiting) if one[1] == ours), None)
        running = any(one[1] == ours for one in queue.get("queue_running", []))
        now = "running" if running else f"queued, {place + len(queue.get('queue_running', []))} before it" if place is not None else state
        # Between the queue and the history a run is in neither for a moment.
        lost = 0 if running or place is not None else lost + 1
        if lost > 20:
            raise SubmitFailure(f"{server.url} no longer knows the run {ours}: was it restarted or its queue cleared?")
        if timeout is not None and time.monotonic() - started > timeout:
            raise SubmitFailure(f"{server.url} has not finished within {timeout:g} s: the run was cancelled")
        if now != state:
            on_state(state := now)
        time.sleep(poll)


def _cancel(server: Server, ours: str) -> None:
    for path, body in (("/queue", {"delete": [ours]}), ("/interrupt", {"prompt_id": ours})):
        try:
            server.json(path, body)
        except SubmitFailure:
            return


def _failure(prompt: Prompt, status: dict) -> str:
    for event, data in status.get("messages") or []:
        if event == "execution_error":
            node = str(data.get("node_id"))
            named = title(prompt, node) if node in prompt else data.get("node_type")
            return f"node {node} ({named}): {data.get('exception_type')}: {str(data.get('exception_message')).strip()}"
        if event == "execution_interrupted":
            return f"the run was interrupted at node {data.get('node_id')}"
    return "the server reports a failed run and no reason"


def _refusal(body: str) -> str:
    """ComfyUI's reasons for refusing a workflow, one a line; empty if the answer holds none."""
    try:
        answer = json.loads(body)
        error = answer["error"]
    except (ValueError, KeyError, TypeError):
        return ""
    lines = _node_errors(answer.get("node_errors") or {})
    if lines:
        return "\n".join(lines)
    if not isinstance(error, dict):
        return str(error)
    info = error.get("extra_info") or {}
    node = {
        "node": str(info.get("node_id") or ""),
        "class_type": str(info.get("class_type") or ""),
        "title": str(info.get("node_title") or ""),
    }
    return str(Problem(error.get("type", ""), error.get("message", ""), error.get("details", ""), **node))


def _node_errors(errors: dict[str, dict]) -> list[str]:
    return [
        str(
            Problem(
                one["type"],
                one["message"],
                one.get("details", ""),
                node=node,
                class_type=entry.get("class_type", ""),
                input=str((one.get("extra_info") or {}).get("input_name") or ""),
            )
        )
        for node, entry in errors.items()
        for one in entry["errors"]
    ]
