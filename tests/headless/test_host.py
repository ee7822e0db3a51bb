import inspect

import pytest
from motion4d.headless.host import HeadlessHost
from motion4d.nodes.host import Host


@pytest.mark.parametrize("name", [name for name in vars(Host) if not name.startswith("_")])
def test_the_door_is_kept_as_it_is_promised(name):
    asked, kept = (inspect.signature(getattr(one, name)).parameters.values() for one in (Host, HeadlessHost))
    assert [(one.name, one.kind, one.default) for one in asked] == [(one.name, one.kind, one.default) for one in kept]


def test_files_are_found_in_every_input_folder_and_the_first_one_wins(tmp_path):
    own, other = tmp_path / "own", tmp_path / "other"
    for folder, names in ((own, ["a.bvh", "deep/b.BVH"]), (other, ["a.bvh", "c.npz", "d.txt"])):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(str(folder))
    host = HeadlessHost(inputs=[own, other, tmp_path / "absent"], output=tmp_path / "out")
    assert host.input_files([".bvh", ".npz"]) == ["a.bvh", "c.npz", "deep/b.BVH"]
    assert host.input_file("a.bvh").read_text() == str(own)
    assert host.input_file("c.npz [input]") == (other / "c.npz").resolve()


@pytest.mark.parametrize("name", ["../secret.npz", "/etc/passwd", "deep/../../secret.npz"])
def test_no_name_leads_out_of_the_folders(host, tmp_path, name):
    (tmp_path / "secret.npz").write_text("")
    for ask in (host.input_file, lambda name: host.model_file("tokenizers", name), lambda name: host.output_file(name, ".npz")):
        with pytest.raises(ValueError, match="leads out"):
            ask(name)


def test_an_absent_file_is_reported_with_the_folders_searched(host, tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "input")):
        host.input_file("walk.bvh")
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "models" / "tokenizers")):
        host.model_file("tokenizers", "a.pt")


def test_taken_files_keep_their_name_where_they_can(host, tmp_path):
    for folder, text in (("x", "one"), ("y", "two"), ("z", "one")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "walk.bvh").write_text(text)
    names = [host.take(tmp_path / folder / "walk.bvh") for folder in "xyzy"]
    assert names == ["walk.bvh", "walk_2.bvh", "walk.bvh", "walk_2.bvh"]
    assert [host.input_file(name).read_text() for name in names] == ["one", "two", "one", "two"]


def test_outputs_are_numbered_by_kind_of_file(host):
    first = host.output_file("motion4d/walk", ".npz")
    assert first == (host.output / "motion4d" / "walk_00001_.npz").resolve()
    assert host.output_file("motion4d/walk", ".bvh").name == "walk_00001_.bvh"
    # A number counts from the moment it is given away.
    assert host.output_file("motion4d/walk", ".npz").name == "walk_00002_.npz"
    (host.output / "motion4d" / "walk_00041_.npz").write_text("")
    assert host.output_file("motion4d/walk", ".npz").name == "walk_00042_.npz"
    assert host.output_file("motion4d/walker", ".npz").name == "walker_00001_.npz"
    assert host.output_file("plain", ".npz").parent == host.output.resolve()


def test_only_files_that_exist_count_as_written(host):
    made, unmade = host.output_file("a/b", ".txt"), host.output_file("a/b", ".txt")
    made.write_text("")
    assert not unmade.exists()
    assert host.written() == [host.output / "a" / "b_00001_.txt"]
    assert host.saved(made) == {"filename": "b_00001_.txt", "subfolder": "a", "type": "output"}


@pytest.mark.parametrize("prefix", ["", ".", "a/.."])
def test_a_prefix_without_a_name_is_refused(host, prefix):
    with pytest.raises(ValueError, match="filename_prefix"):
        host.output_file(prefix, ".npz")


def test_a_models_folder_may_link_to_storage_elsewhere(tmp_path):
    stored = tmp_path / "storage" / "model.safetensors"
    stored.parent.mkdir()
    stored.write_bytes(b"weights")
    folder = tmp_path / "models" / "vae"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").symlink_to(stored)
    host = HeadlessHost(inputs=[tmp_path], output=tmp_path, models=[tmp_path / "models"])
    assert host.model_file("vae", "model.safetensors").read_bytes() == b"weights"
    with pytest.raises(ValueError, match="leads out of the folder"):
        host.model_file("vae", "../../storage/model.safetensors")


def test_models_are_found_in_every_models_folder(tmp_path):
    for folder, name in (("one", "a.safetensors"), ("two", "b.pt"), ("two", "c.txt")):
        (tmp_path / folder / "kind").mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "kind" / name).write_text("")
    host = HeadlessHost(inputs=[tmp_path], output=tmp_path, models=[tmp_path / "one", tmp_path / "two"])
    assert host.model_files("kind", [".safetensors", ".pt"]) == ["a.safetensors", "b.pt"]
    assert host.model_file("kind", "b.pt") == (tmp_path / "two" / "kind" / "b.pt").resolve()


def test_a_run_needs_an_input_folder(tmp_path):
    with pytest.raises(ValueError, match="input folder"):
        HeadlessHost(inputs=[], output=tmp_path)
