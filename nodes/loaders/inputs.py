"""Files of the input folder as a choice, which may be none."""

from typing import Any

from comfy_api.latest import io

from .. import host

NONE = "none"


def file_input(name: str, suffixes: tuple[str, ...], tooltip: str) -> io.Combo.Input:
    """A combo of the files in the input folder; the pack's page adds an upload button to inputs with `motion4d_upload`."""
    options = [NONE, *host.current().input_files(suffixes)]
    return io.Combo.Input(name, options=options, default=NONE, tooltip=tooltip, extra_dict={"motion4d_upload": list(suffixes)})


def default_input(socket: Any) -> io.Input:
    """What stands in for the file of a loader while none is chosen."""
    return socket.Input("default", optional=True, tooltip="Handed on while no file is chosen, so that a workflow runs without one.")


class FileLoader(io.ComfyNode):
    """Base of nodes that read the input `file`: it has to be there, and they run again when it changes."""

    @classmethod
    def validate_inputs(cls, file):
        return readable(file)

    @classmethod
    def fingerprint_inputs(cls, file, **_):
        return modified(file)


def readable(*names: str) -> bool | str:
    """True, or why one of the chosen files cannot be read: what `validate_inputs` answers."""
    for name in _chosen(names):
        try:
            host.current().input_file(name)
        except (ValueError, FileNotFoundError) as error:
            return str(error)
    return True


def modified(*names: str) -> list[tuple[int, int]]:
    """What changes when a chosen file does: what `fingerprint_inputs` answers."""
    stats = [host.current().input_file(name).stat() for name in _chosen(names)]
    return [(stat.st_mtime_ns, stat.st_size) for stat in stats]


def _chosen(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name and name != NONE]
