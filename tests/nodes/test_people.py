"""The nodes of several people run on real values, by themselves and in a workflow."""

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.nodes.motion.maps import EncodeBoneMaps, RenderBoneMaps
from motion4d.nodes.motion.people import ComposeBoneMaps, GatherPeople, SelectPerson, SplitPeople

CHOICE = {"index": 0, "x": 0, "y": 0, "frame": 0, "absence": 2.0, "relink_shots": False}
ROOM = {"spacing": 1.2, "width": 160, "height": 128}


def run(node, **inputs) -> tuple:
    with torch.inference_mode():
        return node.execute(**inputs).result


@pytest.fixture(scope="module")
def people():
    walk, wave = (demo_motion(action, seconds=0.6, fps=20.0) for action in ("walk", "wave"))
    return run(GatherPeople, motion_0=walk, motion_1=wave, **ROOM)[0]


def test_a_person_is_chosen_by_number_and_by_point(people):
    motions = []
    for index in (0, 1):
        motion, count, report, preview = run(SelectPerson, people=people, how="index", **(CHOICE | {"index": index}))
        assert count == 2 and report.endswith(f"chosen: person {index}") and preview.shape == (1, 128, 160, 3)
        motions.append(motion)
    assert motions[0].joints[..., 0].mean() < 0 < motions[1].joints[..., 0].mean()
    x, y = (round(float(side)) for side in people.frames[0].boxes[1].unflatten(0, (2, 2)).mean(0))
    (found, *_) = run(SelectPerson, people=people, how="point", **(CHOICE | {"x": x, "y": y}))
    assert torch.equal(found.joints, motions[1].joints)


def test_masks_and_tracks_of_another_pack_choose_too(people):
    left = torch.zeros(1, 128, 160)
    left[..., :80] = 1
    data = {"packed_masks": torch.zeros(12, 2, 4, 2, dtype=torch.uint8), "n_frames": 12, "scores": [1.0, 1.0], "orig_size": (128, 160)}
    data["packed_masks"][:, 1, :, 0] = 255  # object 1 is the left half
    data["packed_masks"][:, 0, :, 1] = 255
    by_mask = run(SelectPerson, people=people, how="mask", mask=left, **CHOICE)[0]
    by_object = [run(SelectPerson, people=people, how="mask", track_data=data, **(CHOICE | {"index": one}))[0] for one in (0, 1)]
    assert torch.equal(by_mask.joints, by_object[1].joints) and not torch.equal(by_mask.joints, by_object[0].joints)
    with pytest.raises(ValueError, match="5 masks and 12 frames"):
        run(SelectPerson, people=people, how="mask", mask=left.expand(5, 128, 160), **CHOICE)


def test_people_are_split_rendered_and_composed(host, people):
    motions, count, report = run(SplitPeople, people=people, most=0, absence=2.0, relink_shots=False)
    assert count == len(motions) == 2 and "person 1" in report
    drawn = {"depth_range": "root", "span": 1.25, "virtual_leaves": True, "opacity": 0.8}
    layers = [run(RenderBoneMaps, motion=motion, **drawn)[0] for motion in motions]
    maps, depth, normals, mask = run(ComposeBoneMaps, bone_maps=layers, depth_range=["root"], span=[1.25])
    assert torch.equal(maps.mask, layers[0].mask | layers[1].mask)
    assert depth.shape == normals.shape == (12, 128, 160, 3) and torch.equal(mask > 0, maps.mask[0])
    assert maps.parts == (layers[0].parts[0], layers[1].parts[0])
    images, whole, (first, second), told = run(EncodeBoneMaps, bone_maps=maps, preset="people")
    assert images.shape == (12, 128, 160, 3) and torch.equal(first + second, whole) and torch.equal(whole, mask) and "people" in told
    halves = run(ComposeBoneMaps, bone_maps=layers[:1], depth_range=["root"], span=[1.25], more_bone_maps=layers[1:])
    assert torch.equal(halves[1], depth)


def test_only_the_longest_are_kept_where_asked(people):
    motions, count, _ = run(SplitPeople, people=people, most=1, absence=2.0, relink_shots=False)
    assert len(motions) == count == 1
