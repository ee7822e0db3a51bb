"""The example workflows are what their descriptions say, and can run."""

import json
import re

import numpy as np
import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.motion_errors import motion_errors
from motion4d.core.body.openpose import openpose_joints
from motion4d.core.cues.person_masks import mask_overlap, masks_of_motion
from motion4d.core.formats import list_animations, load_animation, load_motion, load_rig, read_video, save_motion
from motion4d.core.formats.camera_files import load_cameras
from motion4d.core.formats.keypoint_files import load_pose_keypoints
from motion4d.core.formats.pictures import read_picture
from motion4d.core.formats.wires import from_pose_keypoints
from motion4d.core.geometry.kinematics import forward
from motion4d.core.geometry.lens import undistort
from motion4d.core.sampling.recipes import RECIPES
from motion4d.core.skeletons import SMPL24
from motion4d.headless import EXAMPLE_INPUTS, EXAMPLES
from motion4d.headless.cli import main
from motion4d.headless.examples import WORKFLOWS, filmed, node_infos, texts
from motion4d.headless.examples.inputs import CHARACTER, inputs
from motion4d.headless.examples.stock import STOCK
from motion4d.headless.workflow import Workflow


@pytest.fixture(scope="module")
def infos():
    return node_infos()


def forms(name, infos):
    """(graph, API form)."""
    return [json.loads(text) for path, text in texts(name, infos).items() if path.suffix == ".json"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_the_files_are_up_to_date(name, infos):
    for path, text in texts(name, infos).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is old: run python -m motion4d.headless.examples"


def test_every_workflow_file_has_a_description_a_thumbnail_and_a_twin():
    graphs = {path.stem for path in EXAMPLES.glob("*.json")}
    assert (
        graphs
        == set(WORKFLOWS)
        == {path.stem for path in (EXAMPLES / "api").glob("*.json")}
        == {path.stem for path in EXAMPLES.glob("*.jpg")}
    )


@pytest.mark.parametrize("name", WORKFLOWS)
def test_graph_and_api_form_name_the_same_links(name, infos):
    graph, api = forms(name, infos)
    kinds = {str(node["id"]): node for node in graph["nodes"]}
    by_api = {
        (value[0], value[1], step, key) for step, node in api.items() for key, value in node["inputs"].items() if isinstance(value, list)
    }
    by_graph = {(str(a), slot, str(b), kinds[str(b)]["inputs"][at]["name"]) for _, a, slot, b, at, _ in graph["links"]}
    assert by_api == by_graph
    for _, source, slot, _, _, kind in graph["links"]:
        assert kinds[str(source)]["outputs"][slot]["type"] == kind


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_two_nodes_lie_over_each_other(name, infos):
    graph, _ = forms(name, infos)
    boxes = [(*node["pos"], *node["size"], node["title"] if "title" in node else "note") for node in graph["nodes"]]
    for i, (x, y, w, h, a) in enumerate(boxes):
        for u, v, s, t, b in boxes[i + 1 :]:
            assert x + w <= u or u + s <= x or y + h <= v or v + t <= y, f"{a} and {b} overlap"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_loaded_video_covers_no_node(name, infos):
    for node in forms(name, infos)[0]["nodes"]:
        if node["type"] == "LoadVideo":  # the page shows the film in the node, as wide as that: the example's is 3 wide and 4 high
            assert node["size"][1] >= node["size"][0] * 4 / 3 + 80


def test_an_unknown_node_or_input_is_refused(infos):
    flow = Workflow(infos)
    with pytest.raises(ValueError, match="no node class"):
        flow.add("1", "Motion4D_Nothing", "x", (0, 0))
    flow.add("1", "Motion4D_MakeDemoMotion", "x", (0, 0), colour="red")
    with pytest.raises(ValueError, match="no input colour"):
        flow.api()


# --- examples that begin with a video ---

FILM = EXAMPLE_INPUTS / "motion4d_walk.mp4"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A models folder."""
    folder = tmp_path_factory.mktemp("models")
    assert main(["tiny-models", str(folder)]) == 0
    return folder


def ran(name, tmp_path, tiny, *settings):
    """{name of the file: path} of a run of an example."""
    command = ["run", str(EXAMPLES / "api" / f"{name}.json"), "--output", str(tmp_path / "out"), "--models", str(tiny)]
    assert main([*command, *(part for one in settings for part in ("--set", one))]) == 0
    return {path.name.replace("_00001_", ""): path for path in (tmp_path / "out" / "motion4d").iterdir()}


def same_sound(path, film, seconds):
    (ours, rate), (theirs, other) = read_video(path).audio(), read_video(film).audio()
    length = round(seconds * rate)
    assert rate == other and abs(ours.shape[-1] - length) < 0.1 * rate
    ours, theirs = (sound[0, 0, : round((seconds - 0.1) * rate)].numpy() for sound in (ours, theirs))
    return np.corrcoef(ours, theirs)[0, 1] > 0.9


@pytest.mark.filterwarnings("ignore:.torch.jit.*deprecated:DeprecationWarning")
def test_a_video_becomes_a_motion_that_lies_on_its_person(tmp_path, tiny):
    files = ran("video_to_motion", tmp_path, tiny)
    assert set(files) == {"captured.npz", "captured.bvh", "captured.glb", "captured.mp4"}
    film, drawn, motion = read_video(FILM), read_video(files["captured.mp4"]), load_motion(files["captured.npz"])
    assert (len(drawn), drawn.fps, motion.frames, motion.fps) == (len(film), film.fps, len(film), film.fps)
    assert motion.image_size == film.image_size and drawn.image_size == (640, 480) and same_sound(files["captured.mp4"], FILM, 3.0)
    pixels = motion.joints @ motion.intrinsics.T
    pixels = pixels[..., :2] / pixels[..., 2:]
    for picture, (x, y), joints in zip(film.frames(), pixels[:, SMPL24.index("pelvis")], pixels, strict=True):
        figure = (picture - picture[0, 0]).abs().amax(-1) > 0.16  # what the tiny estimator takes for a person; it stands a rest pose there
        columns, rows = figure.any(0).nonzero(), figure.any(1).nonzero()
        assert columns.min() < x < columns.max() and rows.min() < y < rows.max()
        assert rows.min() - 20 < joints[:, 1].min() < joints[:, 1].max() < rows.max() + 20


@pytest.mark.filterwarnings("ignore:.torch.jit.*deprecated:DeprecationWarning")
def test_a_picture_moves_as_a_video_does_with_its_sound(tmp_path, tiny):
    small = ("17.width=32", "17.height=32", "18.steps=1", "20.height=48", "30.width=96", "30.height=96", "4.max_side=96")
    files = ran("animate_from_video", tmp_path, tiny, "29.start=5", *small)
    assert set(files) == {"animated.mp4", "animated_strip.mp4"}
    for path in files.values():
        made = read_video(path)
        assert (len(made), made.fps) == (49, 20.0) and abs(made.audio()[0].shape[-1] / made.audio()[1] - 2.45) < 0.1


def test_the_native_7b_samples_as_the_released_ddim(infos):
    """`simple` takes the timesteps of the release where their number divides 1000; `sgm_uniform` takes others, 1 % off in the latents."""
    _, api = forms("mvdit_7b_native", infos)
    (sampler,) = (node["inputs"] for node in api.values() if node["class_type"] == "KSampler")
    recipe = RECIPES["7B DDIM"]
    assert (sampler["sampler_name"], sampler["scheduler"]) == ("ddim", "simple")
    assert (sampler["steps"], sampler["cfg"]) == (recipe.steps, recipe.guidance) and 1000 % recipe.steps == 0


# --- many views, and long videos in windows ---

IN_WINDOWS = ("multi_view_turntable", "novel_views", "long_video")


@pytest.mark.parametrize("name", IN_WINDOWS)
def test_what_is_inspected_are_the_windows_that_were_sampled(name, infos):
    api = forms(name, infos)[1]
    kinds = {node["class_type"]: node["inputs"] for node in api.values()}
    sampled, inspected = kinds["Motion4D_ApplyWindows"], kinds["Motion4D_InspectConsistency"]
    shared = [key for key in sampled if key in inspected and key != "closed"]
    assert len(shared) == 6 and all(sampled[key] == inspected[key] for key in shared)


@pytest.mark.parametrize("name", IN_WINDOWS)
def test_the_twin_differs_in_its_sampler_alone(name, infos):
    ours, native = forms(name, infos)[1], forms(f"{name}_native", infos)[1]
    assert {step for step in ours | native if ours.get(step) != native.get(step)} == {"18", "40", "41", "42", "43"}
    kinds = {node["class_type"]: node["inputs"] for node in native.values()}
    noise, windows = kinds["Motion4D_MultiViewNoise"], kinds["Motion4D_ApplyWindows"]
    if noise["kind"] == "repeat_shuffle":
        axis = {"time": "frame", "views": "view"}[noise["along"]]
        assert (noise["window"], noise["overlap"]) == (windows[f"{axis}_window"], windows[f"{axis}_overlap"])
    recipe = RECIPES[kinds["Motion4D_ReleasedSigmas"]["recipe"]]
    assert recipe.solver == kinds["KSamplerSelect"]["sampler_name"] and not set(STOCK) & {node["class_type"] for node in ours.values()}


def windows(**values):
    """Settings of the windows that are sampled in, and of those that are inspected."""
    return [f"{node}.{key}={value}" for node in (16, 27) for key, value in values.items()]


def shape_of(path):
    film = read_video(path)
    return len(film), tuple(film.image_size), film.fps


def test_a_turntable_has_a_video_for_each_view(tmp_path, tiny):
    cut = windows(frame_window=4, frame_overlap=1, view_window=2, view_overlap=1, tile_views=2, tile_frames=3)
    size = ("17.width=32", "17.height=32", "18.steps=2", "4.width=64", "4.height=64", "4.views=3", "3.frames=17")
    files = ran("multi_view_turntable", tmp_path, tiny, *size, *cut)
    views = {f"turntable_view_0000{number}_.mp4" for number in (2, 3)}
    assert set(files) == {"turntable.mp4", "turntable_control.mp4", "turntable_view.mp4"} | views
    assert shape_of(files["turntable.mp4"]) == (17, (32, 96), 20.0) and shape_of(files["turntable_control.mp4"]) == (17, (64, 192), 20.0)
    assert all(shape_of(files[name]) == (17, (32, 32), 20.0) for name in {"turntable_view.mp4"} | views)
    grid, last = read_video(files["turntable.mp4"]).frames(), read_video(files["turntable_view_00003_.mp4"]).frames()
    assert (grid[:, :, 64:] - last).abs().mean() < 0.1 < (grid[:, :, :32] - last).abs().mean()


def test_a_still_person_is_turned_around(tmp_path, tiny):
    size = ("17.width=32", "17.height=32", "18.steps=1", "4.width=64", "4.height=64", "4.views=14")
    files = ran("novel_views", tmp_path, tiny, *size)
    assert set(files) == {"views.png", "views.mp4", "views_control.png"}
    assert shape_of(files["views.mp4"]) == (14, (32, 32), 9.0) and read_picture(files["views.png"])[0].shape == (128, 128, 3)


def test_a_video_is_longer_than_the_model_knows(tmp_path, tiny):
    size = ("17.width=32", "17.height=32", "18.steps=1", "4.width=64", "4.height=64", "20.height=48", "3.frames=65")
    files = ran("long_video", tmp_path, tiny, *size)
    assert set(files) == {"long.mp4", "long_strip.mp4"} and shape_of(files["long.mp4"]) == (65, (32, 32), 20.0)


# --- rigged characters ---


def moved_by(path):
    """The joints of the last animation of a GLB."""
    rig = load_rig(path)
    return forward(load_animation(rig, len(list_animations(rig)) - 1))


def test_the_inputs_of_examples_are_what_the_code_makes(tmp_path):
    for path, data in inputs().items():
        again = tmp_path / path.name
        again.write_bytes(data)
        assert max(len(data), path.stat().st_size) < 100_000
        if path.suffix == ".npz":
            torch.testing.assert_close(load_motion(again).joints, load_motion(path).joints, atol=1e-4, rtol=0)
        elif path.suffix == ".png":
            for ours, theirs in zip(read_picture(again), read_picture(path), strict=True):
                assert (ours - theirs).abs().mean() < 1e-3
        elif path.suffix == ".glb":
            assert motion_errors(moved_by(again), moved_by(path)).mean_mm() < 1e-3
        else:  # rounded to 0.1 px, which the last bit of a sum may tip over
            ours, theirs = (np.array(re.findall(r"-?\d+\.?\d*", one.read_text(encoding="utf-8")), float) for one in (again, path))
            np.testing.assert_allclose(ours, theirs, atol=0.101)


def test_what_four_cameras_filmed_is_what_walked():
    calibrated, truth = load_cameras(EXAMPLE_INPUTS / filmed.CALIBRATION), openpose_joints(filmed.walker())
    assert (calibrated.rig.world_to_camera - filmed.cameras().world_to_camera).abs().max() < 1e-5 and not calibrated.straight
    for view, name in enumerate(filmed.POSES):
        found = from_pose_keypoints(load_pose_keypoints(EXAMPLE_INPUTS / name))
        straight = undistort(found, calibrated.take_views([view]))
        off = (straight.pixels[0] - calibrated.rig.project(truth.joints)[0][view]).norm(dim=-1)[straight.seen[0]]
        bent = (found.pixels - straight.pixels).norm(dim=-1)[straight.seen]
        assert 0.9 < found.seen.float().mean() < 0.95 and 2.0 < off.median() < 2.7  # a Rayleigh distribution of 2 px has its median at 2.35
        assert 0.01 < (off > 40).float().mean() < 0.05 and bent.max() > 3


def test_a_character_comes_back_from_its_pose_maps(tmp_path, tiny):
    small = ("4.width=320", "4.height=320", "18.width=48", "18.height=48")
    files = ran("animate_my_rig", tmp_path, tiny, *small)
    assert set(files) == {"my_rig.glb", "my_rig.mp4", "pose_maps.mp4"}
    assert shape_of(files["pose_maps.mp4"]) == (40, (640, 640), 20.0) and shape_of(files["my_rig.mp4"]) == (40, (48, 48), 20.0)
    went, errors = load_rig(EXAMPLE_INPUTS / CHARACTER), motion_errors(moved_by(files["my_rig.glb"]), moved_by(EXAMPLE_INPUTS / CHARACTER))
    assert errors.percent() < 0.15 and errors.within(0.5) > 99 and errors.bone_mm < 0.01
    assert [info.name for info in list_animations(load_rig(files["my_rig.glb"]))] == ["Wave", "Motion4D"]
    assert load_rig(files["my_rig.glb"]).binary.startswith(went.binary)


def test_a_motion_of_another_body_moves_the_character(tmp_path, tiny):
    tall = demo_motion("turn", seconds=1.0, fps=20.0, stature=2.2)
    save_motion(tall, tmp_path / "tall.bvh")
    small = ("4.width=320", "4.height=320", "18.width=48", "18.height=48")
    files = ran("animate_my_rig", tmp_path, tiny, f"2.file={tmp_path / 'tall.bvh'}", *small)
    errors = motion_errors(moved_by(files["my_rig.glb"]), tall)
    assert errors.percent("similarity") < 0.3 and errors.mean_mm("rigid") > 50


def test_four_cameras_move_a_character(tmp_path, tiny, capsys):
    files = ran("cameras_to_animation", tmp_path, tiny, "20.width=48", "20.height=48")
    told = capsys.readouterr().err
    assert set(files) == {"cameras.glb", "cameras.mp4"} and shape_of(files["cameras.mp4"]) == (60, (48, 48), 30.0)
    errors = motion_errors(moved_by(files["cameras.glb"]), filmed.walker())
    assert errors.mean_mm() < 9 and errors.percent() < 0.6 and errors.within(5) == 100
    assert errors.jitter[0] < 1.1 * errors.jitter[1]
    in_space = float(re.search(r"Joints in space: how far off\?.*?as they are: ([\d.]+) mm", told, re.DOTALL)[1])
    assert in_space < 5


# --- driving cues ---

WALK = EXAMPLE_INPUTS / "motion4d_walk.npz"


def test_the_motion_lies_on_the_film():
    frames, motion = read_video(FILM), load_motion(WALK)
    assert (motion.frames, motion.fps, motion.image_size) == (len(frames), frames.fps, frames.image_size)
    drawn = masks_of_motion(motion, len(frames), frames.image_size, growth=0.0).chosen()
    filmed = torch.stack([(picture - picture[0, 0]).abs().amax(-1) > 0.1 for picture in frames.frames()])
    assert mask_overlap(drawn, filmed.float()).min() > 0.93


def test_a_video_becomes_driving_cues(tmp_path, tiny):
    files = ran("driving_cues", tmp_path, tiny)
    assert set(files) == {"cues.mp4", "cue_pose.mp4", "cue_face.mp4"}
    assert all(len(read_video(path)) == 90 for path in files.values())
    pose, figure = read_video(files["cue_pose.mp4"]).frames([45])[0], read_video(FILM).frames([45])[0]
    lit, person = pose.mean(-1) > 0.2, (figure - figure[0, 0]).abs().amax(-1) > 0.1
    assert (lit & person).sum() > 0.9 * person.sum() and lit.sum() < 2 * person.sum()
    face = read_video(files["cue_face.mp4"]).frames([45])[0]
    assert face[0].max() < 0.1 and face[200:300, 100:280].mean() > 0.3


def up_to(kind, api, folder):
    """What leads to the pictures that the first node of this kind gets, which are saved: the workflow without models."""
    (node,) = (node for node in api.values() if node["class_type"] == kind)
    pictures = {
        name: link for name, link in node["inputs"].items() if isinstance(link, list) and ("video" in name or name.startswith("reference"))
    }
    wanted, front = set(), [link[0] for link in pictures.values()]
    while front:
        wanted |= (new := set(front) - wanted)
        front = [link[0] for step in new for link in api[step]["inputs"].values() if isinstance(link, list)]
    saves = {
        f"9{number}": {"class_type": "SaveImage", "inputs": {"images": link, "filename_prefix": f"{name}/{name}"}}
        for number, (name, link) in enumerate(pictures.items())
    }
    path = folder / "front.json"
    path.write_text(json.dumps({step: api[step] for step in wanted} | saves), encoding="utf-8")
    return path, set(pictures), node["inputs"]


@pytest.mark.parametrize(
    ("name", "kind", "step", "single"),
    [
        ("cues_to_wan_animate", "WanAnimateToVideo", 16, {"reference_image"}),
        ("cues_to_scail2", "WanSCAILToVideo", 32, {"reference_image", "reference_image_mask"}),
    ],
)
def test_what_models_of_comfyui_are_given_is_as_they_want_it(name, kind, step, single, infos, tmp_path):
    path, names, given = up_to(kind, forms(name, infos)[1], tmp_path)
    assert given["width"] % step == given["height"] % step == 0 and given["length"] % 4 == 1
    assert names >= {"pose_video", "reference_image"} and names <= set(STOCK[kind]["input"]["optional"])
    command = ["run", str(path), "--output", str(tmp_path), "--set", "5.frames=9", "--set", "3.max_side=128"]
    assert main(command) == 0
    pictures = {one: [read_picture(file)[0] for file in sorted((tmp_path / one).iterdir())] for one in names}
    assert {one: len(made) for one, made in pictures.items()} == {one: 1 if one in single else 9 for one in names}
    assert all(len({picture.shape for picture in made}) == 1 and max(map(torch.max, made)) > 0.2 for made in pictures.values())
    proportion = pictures["reference_image"][0].shape
    assert given["width"] / given["height"] == pytest.approx(proportion[1] / proportion[0], rel=0.02)
    if name == "cues_to_scail2":
        colours = {tuple(colour) for picture in pictures["pose_video_mask"] for colour in picture.flatten(0, 1).unique(dim=0).tolist()}
        assert colours == {(0.0, 0.0, 0.0), (0.0, 0.0, 1.0)}
        reference = pictures["reference_image_mask"][0].flatten(0, 1).unique(dim=0).tolist()
        assert reference == [[0.0, 0.0, 1.0], [1.0, 1.0, 1.0]]
        assert pictures["pose_video"][0].shape == pictures["pose_video_mask"][0].shape == proportion


def test_a_fox_comes_back_from_its_pose_maps(tmp_path, tiny, reference):
    """Its hips leave their root bone, and two joints of that lie in one place, so that one is never seen."""
    fox = reference("data", "fox.glb")
    files = ran("animate_my_rig", tmp_path, tiny, f"1.file={fox}", "1.clip=1", "18.width=48", "18.height=48")
    errors = motion_errors(moved_by(files["my_rig.glb"]), forward(load_animation(load_rig(fox), 1)))
    assert errors.percent() < 0.05 and errors.within(0.5) > 99
