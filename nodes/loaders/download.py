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


def released_checkpoints() -> dict[str, tuple[ModelSpec, tuple[ReleasedFile, ...]]]:
    """Every checkpoint that can be had, with the files it is made of, by its name in the combo: "spec | first file"."""
    specs = [load_spec(name) for name in list_specs()]
    return {f"{spec.name}{_SIGN}{files[0].name}": (spec, files) for spec in specs for files in spec.choices}


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
                io.Combo.Input(
                    "file",
                    options=list(released_checkpoints()),
                    tooltip="The model, and the file of it; of a model in several files the first, all of them are fetched.",
                ),
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
        spec, files = released_checkpoints()[file]
        return [_target(spec, one).exists() for one in files]

    @classmethod
    def execute(cls, file, download):
        spec, files = released_checkpoints()[file]
        report = description(spec, files)
        if download:
            log.info("%s", report)
            for one in files:
                if not _target(spec, one).exists():
                    _fetch(spec, one)
        paths = [_target(spec, one) for one in files]
        lacking = [str(path) for path in paths if not path.exists()]
        report += f"\nnot there: {', '.join(lacking)}: switch `download` on" if lacking else f"\n{paths[0]} is there"
        return io.NodeOutput(str(paths[0]), report, ui=ui.PreviewText(report))


def description(spec: ModelSpec, files: tuple[ReleasedFile, ...]) -> str:
    """What a checkpoint is, in lines."""
    sizes = [file.size for file in files if file.size is not None]
    size = f"{sum(sizes) / 1e9:.2f} GB" if len(sizes) == len(files) else "unknown before the download"
    named = [f"{file.name} of {file.home}{f' ({file.note})' if file.note else ''}\n{file.url}" for file in files]
    lines = [spec.title, *named, f"size: {size}", f"licence: {spec.licence}"]
    return "\n".join([*lines, *([spec.notice] if spec.notice else [])])


def _fetch(spec: ModelSpec, file: ReleasedFile) -> None:
    bar = host.current().progress(file.size or remote_size(file) or 1)
    fetch(file, host.current().new_model_folder(spec.folder), advance=bar.advance)


def _target(spec: ModelSpec, file: ReleasedFile) -> Path:
    """Where the file is in a models folder, else where it would go."""
    try:
        return host.current().model_file(spec.folder, file.name)
    except FileNotFoundError:
        return host.current().new_model_folder(spec.folder) / file.name
