"""Released files, fetched on request."""

import logging
from pathlib import Path

from comfy_api.latest import io, ui

from ...core.downloads import download as fetch
from ...core.downloads import remote_size
from ...core.specs import ModelSpec, ReleasedFile, list_specs, load_spec
from .. import host

log = logging.getLogger(__name__)
_SIGN = " | "


def released_files() -> dict[str, tuple[ModelSpec, ReleasedFile]]:
    """Every file of every spec by the name in the combo, "spec | file"."""
    return {f"{name}{_SIGN}{file.name}": (spec, file) for name in list_specs() for spec in [load_spec(name)] for file in spec.files}


class DownloadModel(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_DownloadModel",
            display_name="Download Model",
            category="motion4d/load",
            description="Shows size, licence and address of a released file and, when its switch is on, fetches it into the models folder. Nothing else in this pack "
            "uses the network.",
            search_aliases=["fetch weights", "huggingface", "get model", "mtvcrafter weights"],
            inputs=[
                io.Combo.Input("file", options=list(released_files()), tooltip="The model, and the file of it."),
                io.Boolean.Input(
                    "download",
                    default=False,
                    tooltip="Off: only say what it is. On: fetch it; a download that was cut goes on where it was, and its checksum is compared where one is known.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="path", tooltip="Where the file is, or would be."),
                io.String.Output(display_name="report", tooltip="Size, licence and address."),
            ],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, file, download):
        return _target(*released_files()[file]).exists()

    @classmethod
    def execute(cls, file, download):
        spec, released = released_files()[file]
        path = _target(spec, released)
        report = description(spec, released)
        if download and not path.exists():
            log.info("%s", report)
            bar = host.current().progress(released.size or remote_size(released) or 1)
            fetch(released, host.current().new_model_folder(spec.folder), advance=bar.advance)
        report += f"\n{path} is there" if path.exists() else "\nnot downloaded: switch `download` on"
        return io.NodeOutput(str(path), report, ui=ui.PreviewText(report))


def description(spec: ModelSpec, file: ReleasedFile) -> str:
    """What a file is, in lines."""
    size = "unknown before the download" if file.size is None else f"{file.size / 1e9:.2f} GB"
    lines = [spec.title, f"{file.name} of huggingface.co/{file.repository}", file.url, f"size: {size}", f"licence: {spec.licence}"]
    return "\n".join([*lines, *(one for one in (file.note, spec.notice) if one)])


def _target(spec: ModelSpec, file: ReleasedFile) -> Path:
    """Where the file is in a models folder, else where it would go."""
    try:
        return host.current().model_file(spec.folder, file.name)
    except FileNotFoundError:
        return host.current().new_model_folder(spec.folder) / file.name
