"""SMPL body models from their licensed files."""

from comfy_api.latest import io, ui

from ...core.formats.body_models import FOLDER, OFFICIAL, SUFFIXES, WHERE_FROM, load_body_model
from .. import host, sockets


class LoadBodyModel(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="Motion4D_LoadBodyModel",
            display_name="Load Body Model",
            category="motion4d/load",
            description="SMPL, SMPL-H or SMPL-X from an official file of any name and format: exact bone lengths of a shape, and the mesh. Its licence is for "
            "non-commercial research; nothing else in this pack needs it.",
            search_aliases=["smpl", "smplx", "smplh", "human mesh", "betas"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=host.current().model_files(FOLDER, SUFFIXES) or list(OFFICIAL),
                    tooltip=f"A file of models/{FOLDER}: npz, pkl (read without running anything in it) or safetensors.",
                )
            ],
            outputs=[
                sockets.BodyModel.Output(display_name="body_model", tooltip="For Pose Body Model and Make Body Mesh."),
                io.String.Output(display_name="report", tooltip="Which model it is, and its size."),
            ],
        )

    @classmethod
    def execute(cls, file):
        try:
            model = load_body_model(host.current().model_file(FOLDER, file))
        except FileNotFoundError as error:
            text = str(error)
            raise FileNotFoundError(text if WHERE_FROM in text else f"{text}. {WHERE_FROM}") from None
        report = model.describe()
        return io.NodeOutput(model, report, ui=ui.PreviewText(report))
