import importlib.util
import subprocess
import sys
from io import BytesIO

import pytest
from comfy_api.latest import ComfyExtension, InputImpl, Types, io, ui
from motion4d.headless import comfy_api


def test_the_stand_in_looks_like_a_package():
    for name in ("comfy_api", "comfy_api.latest"):
        module = sys.modules[name]
        assert module.__path__ == [] and module.__spec__.submodule_search_locations == []
        assert importlib.util.find_spec(name) is module.__spec__
    assert comfy_api.is_installed()
    before = sys.modules["comfy_api"]
    assert comfy_api.install() and sys.modules["comfy_api"] is before


def test_the_real_one_is_left_alone(tmp_path):
    """Where a comfy_api can be imported, the stand-in stays away, whether or not it has been imported yet."""
    (tmp_path / "comfy_api").mkdir()
    (tmp_path / "comfy_api" / "__init__.py").write_text("REAL = True")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from motion4d.headless import comfy_api as own; print(own.install()); import comfy_api; print(comfy_api.REAL, own.install())"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False", "True", "False"], done.stderr


@pytest.mark.parametrize(
    "make",
    [
        lambda: io.Schema(node_id="x", colour=1),
        # Newer than ComfyUI 0.12.1, the oldest host of the pack.
        lambda: io.Schema(node_id="x", essentials_category="Basics"),
        lambda: io.Float.Input("x", gradient_stops=[]),
        lambda: io.Image.Input("x", default=1),
        lambda: io.Int.Input("x", "shown", display_name="twice"),
        lambda: io.Video.Output(colour=1),
    ],
)
def test_an_unknown_keyword_is_a_type_error_as_in_comfyui(make):
    with pytest.raises(TypeError):
        make()


def test_two_inputs_of_one_name_are_refused():
    class Twice(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema(node_id="Twice", inputs=[io.Int.Input("a"), io.Float.Input("a")])

    with pytest.raises(ValueError, match="Twice"):
        Twice.GET_SCHEMA()


def test_an_output_node_asks_for_the_workflow_once():
    schema = io.Schema(node_id="x", is_output_node=True, hidden=[io.Hidden.prompt])
    schema.finalize()
    assert schema.hidden == [io.Hidden.prompt, io.Hidden.extra_pnginfo]


def test_what_a_page_is_told():
    entry = ui.SavedResult("a.mp4", "sub", io.FolderType.output)
    assert ui.PreviewVideo([entry]).as_dict() == {
        "images": [{"filename": "a.mp4", "subfolder": "sub", "type": "output"}],
        "animated": (True,),
    }
    assert ui.PreviewText("hello").as_dict() == {"text": ("hello",)}
    assert (entry.filename, entry.subfolder, entry.type) == ("a.mp4", "sub", io.FolderType.output)


def test_a_3d_file_is_the_same_from_disk_and_from_memory(tmp_path):
    memory = Types.File3D(BytesIO(b"glTF"), file_format="glb")
    memory.save_to(str(tmp_path / "deep" / "a.glb"))
    disk = Types.File3D(str(tmp_path / "deep" / "a.glb"))
    assert (disk.format, disk.is_disk_backed, memory.is_disk_backed) == ("glb", True, False)
    assert disk.get_bytes() == memory.get_bytes() == memory.get_bytes() == b"glTF"
    disk.save_to(str(tmp_path / "b.glb"))
    assert (tmp_path / "b.glb").read_bytes() == b"glTF"


def test_names_that_the_pack_imports_exist():
    assert ComfyExtension and InputImpl.VideoFromFile and Types.VideoComponents
    assert Types.VideoContainer.get_extension("auto") == "mp4"
