"""Getting a released file: a download that goes on where it was cut, is checked, and appears complete or not at all."""

import hashlib
import os
import shutil
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from .formats.untrusted import confined
from .specs import ReleasedFile

_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 20
_SPARE = 64 << 20  # bytes of the disk that are left alone
_LOCAL = "127.0.0.1"


def remote_size(file: ReleasedFile, *, local_http: bool = False) -> int | None:
    """Bytes of a file at its address, None where the server does not tell.

    Args:
        local_http: allow http to 127.0.0.1 as well; everything else is https.

    Raises:
        ValueError: another kind of address. ConnectionError: no answer, or a refusal.
    """
    return _ask(file, _Opener(local_http))[0]


def download(file: ReleasedFile, folder: Path | str, *, advance: Callable[[int], None] | None = None, local_http: bool = False) -> Path:
    """Fetch a file into a models folder, going on from what an earlier try has left there.

    A file that is there already is left alone, if it has the size that is known.

    Args:
        folder: the name of the file is below it. advance: told how many more bytes are there; what it raises ends the download, which can
            go on later. local_http: as `remote_size`.

    Returns:
        The path of the complete file.

    Raises:
        ValueError: an address or a name that is not allowed, a file of that name but of another size, or contents that do not have the
            known size or checksum (they are deleted).
        ConnectionError: the server refuses, or the connection is lost; what has arrived is kept.
        OSError: the disk is too full; said before the download.
    """
    opener = _Opener(local_http)
    target = confined(Path(folder), file.name)
    if target.exists():
        if file.size is not None and target.stat().st_size != file.size:
            found = f"has {target.stat().st_size:,} bytes, expected {file.size:,}"
            raise ValueError(f"{target} {found}: it is another or an unfinished file, delete or rename it")
        return target
    told, mark = _ask(file, opener)
    if file.size is not None and told not in (None, file.size):
        raise ValueError(f"{file.url} has {told:,} bytes, expected {file.size:,}: the file has changed, look at its repository")
    size = file.size if file.size is not None else told
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _part(target, file.sha256 or mark or str(size))
    have = part.stat().st_size if part.exists() else 0
    _check_space(target, size, have)
    advance = advance or (lambda _: None)
    if have and (size is None or have > size):
        part.unlink()
        have = 0
    advance(have)
    while size is None or have < size:
        arrived = _fetch(file, opener, part, have, advance, counted=size is not None)
        if size is None:
            break
        if arrived == have:
            raise ConnectionError(
                f"{file.url}: the connection was lost after {have:,} of {size:,} bytes: start again, it goes on from there"
            )
        have = arrived
    _check(file, part, size)
    os.replace(part, target)
    return target


class _Opener:
    """Opens addresses that are allowed, also after a redirection."""

    def __init__(self, local_http: bool):
        allowed = self.allowed

        class Redirections(HTTPRedirectHandler):
            def redirect_request(self, request: Request, answer: IO, code: int, message: str, headers: HTTPMessage, url: str):
                allowed(url)
                return super().redirect_request(request, answer, code, message, headers, url)

        self._local_http = local_http
        self._opener: OpenerDirector = build_opener(Redirections)

    def allowed(self, url: str) -> None:
        parts = urlsplit(url)
        local = self._local_http and parts.scheme == "http" and parts.hostname == _LOCAL
        if not (local or parts.scheme == "https"):
            raise ValueError(f"{url} is not fetched: expected an address that begins with https://")

    def open(self, url: str, *, method: str = "GET", start: int = 0):
        self.allowed(url)
        headers = {"User-Agent": "motion4d", "Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        try:
            return self._opener.open(Request(url, method=method, headers=headers), timeout=_TIMEOUT)
        except HTTPError as error:
            raise ConnectionError(f"{url}: the server answers {error.code} {error.reason}: {_remedy(error.code)}") from error
        except (URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", None) or error
            raise ConnectionError(f"{url} cannot be reached ({reason}): check the connection and start again") from error


def _remedy(code: int) -> str:
    if code in (401, 403):
        return "its terms must be accepted in a browser first, download it there"
    return "look in the repository for what it is called now" if code in (404, 410) else "try again later"


def _ask(file: ReleasedFile, opener: _Opener) -> tuple[int | None, str]:
    """The size of a file, and what changes when its contents change."""
    with opener.open(file.url, method="HEAD") as answer:
        length, headers = answer.headers.get("Content-Length", ""), answer.headers
        return int(length) if length.isdecimal() else None, headers.get("ETag") or headers.get("Last-Modified") or ""


def _part(target: Path, mark: str) -> Path:
    """Where the first bytes of a file wait for the rest; those of other contents are deleted."""
    part = target.with_name(f"{target.name}.{hashlib.sha256(mark.encode()).hexdigest()[:8]}.part")
    for other in target.parent.iterdir():
        if other.name.startswith(f"{target.name}.") and other.suffix == ".part" and other != part:
            other.unlink()
    return part


def _check_space(target: Path, size: int | None, have: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if size is not None and size - have + _SPARE > free:
        needed = f"{(size - have) / 1e9:.2f} GB, {target.parent} has {free / 1e9:.2f} GB free"
        raise OSError(f"the disk is too full for {target.name}: it needs {needed}: make room or choose another folder")


def _fetch(file: ReleasedFile, opener: _Opener, part: Path, have: int, advance: Callable[[int], None], *, counted: bool) -> int:
    """Append what the server sends from byte `have` on; the bytes that are there when it ends or breaks off."""
    with opener.open(file.url, start=have) as answer:
        if have and answer.status != 206:  # it begins anew
            advance(-have)
            have = 0
        elif have and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise ConnectionError(f"{file.url}: asked for bytes from {have:,}, the server sends {answer.headers.get('Content-Range')}")
        with open(part, "ab" if have else "wb") as to:
            while chunk := _next(answer, file.url, counted):
                to.write(chunk)
                have += len(chunk)
                advance(len(chunk))
    return have


def _next(answer, url: str, counted: bool) -> bytes:
    """The next bytes; none where the connection breaks, if the bytes are counted afterwards."""
    try:
        return answer.read1(_CHUNK)
    except (HTTPException, OSError) as error:
        if counted:
            return b""
        raise ConnectionError(f"{url}: the connection was lost ({error}): start again") from error


def _check(file: ReleasedFile, part: Path, size: int | None) -> None:
    found = part.stat().st_size
    problem = f"{found:,} bytes, expected {size:,}" if size is not None and found != size else ""
    if not problem and file.sha256 is not None:
        with open(part, "rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        problem = f"the SHA-256 {digest}, expected {file.sha256}" if digest != file.sha256.lower() else ""
    if problem:
        part.unlink()
        raise ValueError(f"{file.name} from {file.url} has {problem}: it was deleted, download it again")
