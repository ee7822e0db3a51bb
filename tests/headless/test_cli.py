import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from motion4d.core.checkpoints import read_checkpoint, read_metadata
from motion4d.core.models import load_mvdit_7b
from motion4d.core.specs import load_spec
from motion4d.core.tiny_models import TINY_7B, tiny_checkpoint
from motion4d.headless import EXAMPLES, cli, tiny_models
from motion4d.headless.requirements import Model
from motion4d.nodes import host as door


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder to stand in; the host that the command announces goes with the test."""
    monkeypatch.setattr(door, "_announced", None)
    monkeypatch.delenv("MOTION4D_MODELS", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def flow(here) -> Path:
    """A workflow that loads or makes a motion and saves it."""
    load = {"file": "none", "clip": 0, "person": 0, "fps": 0.0, "video": "none", "max_side": 256, "default": ["2", 0]}
    demo = {"action": "walk", "seconds": 1.0, "fps": 10.0, "stature": 1.7}
    entries = {
        "1": {"class_type": "Motion4D_LoadMotion", "inputs": load, "_meta": {"title": "Motion"}},
        "2": {"class_type": "Motion4D_MakeDemoMotion", "inputs": demo, "_meta": {"title": "Demo"}},
        "3": {"class_type": "Motion4D_SaveMotion", "inputs": {"motion": ["1", 0], "filename_prefix": "deep/walk", "format": "npz"}},
        "4": {"class_type": "Motion4D_InspectMotion", "inputs": {"motion": ["1", 0]}},
    }
    path = here / "flow.json"
    path.write_text(json.dumps(entries))
    return path


def run(capsys, *arguments):
    """(status, lines on stdout, text on stderr)."""
    try:
        status = cli.main([str(one) for one in arguments])
    except SystemExit as left:
        status = left.code
    told = capsys.readouterr()
    return status, told.out.splitlines(), told.err


def test_files_are_listed_on_stdout_and_nothing_else(capsys, flow):
    status, lines, told = run(capsys, "run", flow)
    assert (status, lines) == (0, [str(Path("output", "deep", "walk_00001_.npz"))])
    assert Path(lines[0]).is_file()
    assert "frames" in told


def test_the_paths_begin_with_the_output_folder_as_it_was_given(capsys, flow, tmp_path):
    assert run(capsys, "run", flow, "--output", "../other")[1] == [str(Path("..", "other", "deep", "walk_00001_.npz"))]
    assert run(capsys, "run", flow, "--output", tmp_path / "other")[1] == [str(tmp_path / "other" / "deep" / "walk_00002_.npz")]


def test_a_file_from_anywhere_is_loaded(capsys, flow, tmp_path):
    made = run(capsys, "run", flow, "--output", tmp_path / "far away", "--set", "Demo.seconds=2")[1][0]
    status, lines, told = run(capsys, "run", flow, "--set", f"1.file={made}", "--set", "3.format=bvh")
    assert status == 0, told
    text = Path(lines[0]).read_text()
    assert text.startswith("HIERARCHY") and "Frames: 20" in text


def test_a_file_in_the_input_folder_is_found_by_its_name(capsys, flow, here):
    made = Path(run(capsys, "run", flow)[1][0])
    (here / "input").mkdir()
    made.rename(here / "input" / "walk.npz")
    assert run(capsys, "run", flow, "--set", "1.file=walk.npz")[0] == 0


def test_the_folder_of_taken_files_is_gone_afterwards(capsys, flow, tmp_path, monkeypatch):
    made = run(capsys, "run", flow)[1][0]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    for status, setting in ((0, "3.format=bvh"), (1, "1.clip=7")):
        assert run(capsys, "run", flow, "--set", f"1.file={made}", "--set", setting)[0] == status
        assert list((tmp_path / "temporary").iterdir()) == []


def test_a_failing_node_is_named_with_its_reason(capsys, flow, tmp_path):
    (tmp_path / "broken.bvh").write_text("HIERARCHY\nnonsense")
    status, lines, told = run(capsys, "run", flow, "--set", f"1.file={tmp_path / 'broken.bvh'}")
    assert (status, lines) == (1, [])
    assert "node 1 (Motion, Motion4D_LoadMotion)" in told and "broken.bvh" in told and "Traceback" not in told


def test_files_that_were_complete_before_the_failure_are_listed(capsys, flow):
    entries = json.loads(flow.read_text())
    entries["5"] = {
        "class_type": "Motion4D_LoadMotion",
        "inputs": {key: value for key, value in entries["1"]["inputs"].items() if key != "default"},
    }
    entries["6"] = {"class_type": "Motion4D_InspectMotion", "inputs": {"motion": ["5", 0]}}
    flow.write_text(json.dumps(entries))
    status, lines, told = run(capsys, "run", flow)
    assert status == 1 and "node 5" in told
    assert lines == [str(Path("output", "deep", "walk_00001_.npz"))] and Path(lines[0]).is_file()


def test_an_invalid_workflow_is_refused_with_comfyuis_words(capsys, flow):
    for command in ("run", "validate"):
        status, lines, told = run(capsys, command, flow, "--set", "2.seconds=1000", "--set", "3.format=obj")
        assert (status, lines) == (1, [])
        assert "value_bigger_than_max" in told and "value_not_in_list" in told and "node 2 (Demo" in told
    assert not Path("output").exists()


def test_validate_runs_nothing(capsys, flow):
    assert run(capsys, "validate", flow)[0] == 0
    assert not Path("output").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run"],
        ["run", "absent.json"],
        ["run", "flow.json", "--set", "1.file"],
        ["run", "flow.json", "--set", "1.depth=3"],
        ["run", "flow.json", "--set", "1.file=absent.npz"],
        ["submit", "flow.json"],
        ["submit", "flow.json", "--server", "nowhere"],
        ["submit", "flow.json", "--server", "http://a", "--server", "http://b"],
    ],
)
def test_wrong_usage_has_a_status_of_its_own(capsys, flow, arguments):
    status, lines, told = run(capsys, *arguments)
    assert (status, lines) == (2, []) and told


def test_a_graph_as_the_page_saves_it_is_the_same_workflow(capsys):
    listings = [run(capsys, "validate", EXAMPLES / folder / "motion_to_bone_maps.json", "--set", "2.seconds=0") for folder in ("api", ".")]
    assert [status for status, _, _ in listings] == [1, 1]
    assert listings[0][2] == listings[1][2] and "node 2 (Demo motion, Motion4D_MakeDemoMotion), input seconds" in listings[0][2]


@pytest.mark.parametrize(
    "graph", ['{"nodes": [{"id": 1, "type": "Reroute"}]}', '{"nodes": [{"id": 1}]}', '{"nodes": [1]}', '{"nodes": [], "links": [[]]}']
)
def test_a_graph_that_cannot_be_read_fails(capsys, here, graph):
    (here / "graph.json").write_text(graph)
    status, _, told = run(capsys, "run", "graph.json")
    assert status == 1 and "graph.json" in told and "Export (API)" in told


def test_a_missing_model_is_told_before_the_run(capsys):
    status, lines, told = run(capsys, "run", EXAMPLES / "api" / "tokens_round_trip.json", "--models", "nothing")
    assert (status, lines) == (1, [])
    for part in ("4DMoT/mp_rank_00_model_states.pt", str(Path("nothing", "motion_tokenizers")), "yanboding/MTVCrafter", "Apache-2.0"):
        assert part in told


def test_tiny_models_let_the_examples_run_and_never_replace_a_file(capsys, monkeypatch):
    status, lines, _ = run(capsys, "tiny-models", "tiny")
    assert status == 0 and str(Path("tiny", "motion_tokenizers", "4DMoT", "mp_rank_00_model_states.pt")) in lines
    assert all(Path(line).is_file() for line in lines)
    monkeypatch.setenv("MOTION4D_MODELS", "tiny")
    example = EXAMPLES / "api" / "tokens_round_trip.json"
    assert run(capsys, "validate", example)[0] == 0
    status, lines, told = run(capsys, "run", example)
    assert status == 0, told
    assert {Path(line).suffix for line in lines} == {".npz", ".mp4"} and all(Path(line).stat().st_size for line in lines)
    before = Path("tiny", "motion_tokenizers", "4DMoT", "mp_rank_00_model_states.pt").read_bytes()
    assert run(capsys, "tiny-models", "tiny")[0] == 1
    assert Path("tiny", "motion_tokenizers", "4DMoT", "mp_rank_00_model_states.pt").read_bytes() == before


def test_tiny_models_are_written_in_the_form_of_the_file_that_an_example_names(monkeypatch, tmp_path):
    model = Model(spec="mvdit_7b", folder="diffusion_models", file="deep/part-00002-of-00003.safetensors")
    monkeypatch.setattr(tiny_models, "example_models", lambda: [model, Model(spec="4dmot", folder="motion_tokenizers", file="tokens.pt")])
    paths = tiny_models.write_tiny_models(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        *(f"diffusion_models/deep/part-0000{number}-of-00003.safetensors" for number in (1, 2, 3)),
        "motion_tokenizers/tokens.pt",
    ]
    assert load_mvdit_7b(paths[1]).config == TINY_7B
    assert read_metadata(paths[0])["motion4d.spec"] == "mvdit_7b"
    assert set(torch.load(paths[3], weights_only=True)) == {"module"}
    with pytest.raises(ValueError, match=r"part-00001-of-00003\.safetensors exists"):
        tiny_models.write_tiny_models(tmp_path)


def test_a_checkpoint_is_converted(capsys, tmp_path):
    state = tiny_checkpoint(load_spec("mvdit_17b"))
    torch.save({"module": state}, tmp_path / "mp_rank_00_model_states.pt")
    target = tmp_path / "deep" / "adapter.safetensors"
    arguments = "convert", tmp_path / "mp_rank_00_model_states.pt", target, "--adapter-only", "--precision", "bfloat16"
    status, lines, told = run(capsys, *arguments)
    assert (status, lines) == (0, [str(target)]), told
    found = read_checkpoint(target)
    assert len(found) == 24 and all(torch.equal(value, state[key].bfloat16()) for key, value in found.items())
    status, lines, told = run(capsys, *arguments)
    assert (status, lines) == (1, []) and "exists" in told and "Traceback" not in told


def test_an_optional_package_that_is_absent_is_told_without_a_traceback(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    status, _, told = run(capsys, "run", EXAMPLES / "driving_cues.json", "--set", "23.source=mediapipe pose")
    assert status == 1 and "(Its person, Motion4D_MakePersonMasks): MediaPipe is not installed" in told and "Traceback" not in told


def test_a_conversion_that_cannot_be_is_told(capsys, tmp_path):
    (tmp_path / "broken.pt").write_bytes(b"nothing")
    cases = {
        (tmp_path / "absent.pt", "a.safetensors"): (2, "there is no file"),
        (tmp_path / "broken.pt", "a.safetensors"): (1, "broken.pt cannot be read"),
        (tmp_path / "broken.pt", "a.safetensors", "--precision", "int4"): (2, "expected one of as stored"),
        (tmp_path / "broken.pt",): (2, "OUTPUT.safetensors"),
    }
    for arguments, (expected, message) in cases.items():
        status, lines, told = run(capsys, "convert", *arguments)
        assert (status, lines) == (expected, []) and message in told and "Traceback" not in told
    assert not Path("a.safetensors").exists()


def test_a_requirement_of_an_absent_node_is_told(capsys, flow):
    flow.with_suffix(".requires.toml").write_text('nodes = ["KSampler"]\n')
    assert run(capsys, "validate", flow)[0] == 0
    entries = json.loads(flow.read_text()) | {"9": {"class_type": "KSampler", "inputs": {}}}
    flow.write_text(json.dumps(entries))
    for declared in ('nodes = ["KSampler"]\n', ""):
        flow.with_suffix(".requires.toml").write_text(declared)
        for command in ("validate", "run"):
            status, _, told = run(capsys, command, flow)
            assert status == 1 and "KSampler" in told and "motion4d submit" in told
    flow.with_suffix(".requires.toml").write_text("[[models]]\nname = 1\n")
    status, _, told = run(capsys, "validate", flow)
    assert status == 1 and "flow.requires.toml" in told


def test_nodes_are_listed(capsys):
    status, lines, _ = run(capsys, "nodes")
    entries = {line.split("\t")[0]: line.split("\t")[1:] for line in lines}
    assert status == 0 and entries["Motion4D_RenderBoneMaps"][0] == "Render Bone Maps"
    assert all(len(rest) == 3 for rest in entries.values())
    infos = json.loads("\n".join(run(capsys, "nodes", "--json")[1]))
    assert set(infos) == set(entries) and infos["SaveVideo"]["output_node"] is True


def test_the_command_answers_fast_and_imports_little():
    code = "import sys; from motion4d.headless import cli; cli._parser(); print(sorted({'torch', 'cv2', 'av', 'scipy', 'tqdm'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without a signal")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_run_that_is_ended_leaves_no_unfinished_file(here, tmp_path, name):
    """The signal comes when a video has been written under its temporary name."""
    code = f"""
import os, signal, sys
from pathlib import Path
from motion4d.headless import EXAMPLES, cli
replace = os.replace
def interrupt(source, target):
    if Path(target).suffix == ".mp4":
        print(Path(source).stat().st_size > 0, file=sys.stderr)
        os.kill(os.getpid(), signal.{name})
    return replace(source, target)
os.replace = interrupt
settings = ["2.seconds=1", "3.width=64", "3.height=64"]
sys.exit(cli.main(["run", str(EXAMPLES / "api" / "motion_to_bone_maps.json"), *(part for one in settings for part in ("--set", one))]))
"""
    (tmp_path / "temporary").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=here,
        env=os.environ | {"TMPDIR": str(tmp_path / "temporary")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 130, done.stderr
    assert "True" in done.stderr and "interrupted" in done.stderr and "Traceback" not in done.stderr
    written = [path for path in (here / "output").rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(here)) for path in written) == sorted(done.stdout.splitlines())
    assert ".mp4" not in {path.suffix for path in written}
    assert not [path for path in (tmp_path / "temporary").iterdir() if path.name.startswith("motion4d")]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot limit the size of files")
def test_a_full_disk_is_told_without_a_traceback(flow, here):
    code = f"""
import resource, sys
from motion4d.headless import cli
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
sys.exit(cli.main(["run", {str(flow)!r}]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    assert "node 3 (Motion4D_SaveMotion): [Errno" in done.stderr and "Traceback" not in done.stderr
    assert not [path for path in (here / "output").rglob("*") if path.is_file()]
