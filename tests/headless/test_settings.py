import pytest
from motion4d.headless.graph import Sockets
from motion4d.headless.settings import UsageError, apply_settings, file_inputs

ENTRIES = {
    "count": ("INT", {"min": 0}),
    "scale": ("FLOAT", {}),
    "loop": ("BOOLEAN", {}),
    "text": ("STRING", {}),
    "choice": ("COMBO", {"options": ["1", "two"]}),
    "file": ("COMBO", {"options": ["none", "here.bvh"], "motion4d_upload": [".bvh"]}),
    "motion": ("MOTION4D_MOTION", {}),
    "format.codec": ("COMBO", {"options": ["auto"]}),
}


@pytest.fixture
def flow(prompt):
    flow = prompt(n1=("Load", {"file": "none"}), n2=("Draw", {"file": "here.bvh"}), n3=("Draw", {"text": "here.bvh"}))
    for name, title in (("1", "Load v1.5"), ("2", "Draw"), ("3", "Draw")):
        flow[name]["_meta"] = {"title": title}
    return flow


def apply(flow, *settings, take=lambda path: f"taken {path.name}"):
    apply_settings(flow, settings, inputs=lambda name: Sockets(required=ENTRIES), take=take)
    return flow


@pytest.mark.parametrize(
    ("setting", "name", "value"),
    [
        ("1.count=3", "count", 3),
        ("1.scale=1e-3", "scale", 1e-3),
        ("1.loop=false", "loop", False),
        ("1.loop=on", "loop", True),
        ("1.text=3", "text", "3"),
        ("1.text=a=b.c", "text", "a=b.c"),
        ("1.text=", "text", ""),
        ("1.choice=1", "choice", "1"),
        ("1.choice=two", "choice", "two"),
        ("1.count=three", "count", "three"),
        ('1.motion=["2", 0]', "motion", ["2", 0]),
        ("1.format.codec=auto", "format.codec", "auto"),
        ("Load v1.5.count=4", "count", 4),
        ("load V1.5.format.codec=auto", "format.codec", "auto"),
        ("1.file=here.bvh", "file", "here.bvh"),
    ],
)
def test_a_value_is_read_as_its_input_wants_it(flow, setting, name, value):
    result = apply(flow, setting)["1"]["inputs"][name]
    assert result == value and type(result) is type(value)


def test_a_file_is_taken_from_where_it_is(flow, tmp_path):
    (tmp_path / "a=b.bvh").write_text("")
    assert apply(flow, f"1.file={tmp_path / 'a=b.bvh'}")["1"]["inputs"]["file"] == "taken a=b.bvh"
    # A text stays a text, even if a file is called so.
    assert apply(flow, f"1.text={tmp_path / 'a=b.bvh'}")["1"]["inputs"]["text"] == str(tmp_path / "a=b.bvh")


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("nonsense", "expected NODE.INPUT=VALUE"),
        ("1=3", "expected NODE.INPUT=VALUE"),
        ("9.count=3", "no node '9'"),
        ("1.depth=3", "no input 'depth': it has count"),
        ("Draw.count=3", "2 nodes are called 'Draw': use one of their ids 2, 3"),
        ("1.file=absent.bvh", "there is no file absent.bvh"),
    ],
)
def test_what_makes_no_sense_is_refused(flow, setting, reason):
    with pytest.raises(UsageError, match=reason):
        apply(flow, setting)


def test_files_are_those_in_file_widgets(flow):
    assert file_inputs(flow, lambda name: Sockets(required=ENTRIES)) == [("1", "file", "none"), ("2", "file", "here.bvh")]
