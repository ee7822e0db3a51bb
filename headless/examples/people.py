"""Examples with several people."""

from collections.abc import Mapping
from typing import Any

from ..workflow import Workflow
from .files import VIDEO_FORMAT


def two_people(infos: Mapping[str, Any]) -> Workflow:
    """Two people, followed apart, as one set of bone maps in which the nearer hides the other."""
    flow = Workflow(infos)
    flow.add("1", "Motion4D_MakeDemoMotion", "First motion", (0, 80), action="walk", seconds=2.0)
    flow.add("2", "Motion4D_MakeDemoMotion", "Second motion", flow.below("1"), action="wave", seconds=2.0)
    flow.add(
        "3", "Motion4D_GatherPeople", "Both before a camera", flow.below("2"), motion_0=flow.out("1", "motion"),
        motion_1=flow.out("2", "motion"), spacing=0.45, width=640, height=640,
    )  # fmt: skip
    people = flow.out("3", "people")
    flow.frame("Two people", "1", "2", "3")
    flow.add("4", "Motion4D_SelectPerson", "Who is who", (380, 80), room=90, people=people)
    flow.add("5", "PreviewImage", "Their numbers", flow.below("4"), room=250, images=flow.out("4", "preview"))
    flow.frame("Look", "4", "5")
    flow.add("6", "Motion4D_SplitPeople", "One motion each", (760, 80), room=90, people=people)
    flow.add("7", "Motion4D_RenderBoneMaps", "Bone maps of each", flow.below("6"), motion=flow.out("6", "motions"))
    flow.add("8", "Motion4D_ComposeBoneMaps", "Both in one", flow.below("7"), bone_maps=flow.out("7", "bone_maps"), depth_range="sequence")
    flow.frame("Bone maps", "6", "7", "8")
    for number, kind, x in ((9, "depth", 1140), (11, "normals", 1480)):
        flow.add(str(number), "CreateVideo", f"Video of {kind}", (x, 80), images=flow.out("8", kind), fps=30.0)
        save = {"video": flow.out(str(number), "VIDEO"), "filename_prefix": f"motion4d/two_people_{kind}"}
        flow.add(str(number + 1), "SaveVideo", f"Save {kind}", flow.below(str(number)), room=250, **save, **VIDEO_FORMAT)
    flow.frame("Videos", "9", "10", "11", "12")
    flow.note(
        "## Two people\n\nRuns as it is, with two demo motions. For a video of your own, put *Load Pose Estimator* and *Extract Motion* in the place of *Both before a "
        "camera*: everything behind it stays.\n\n*One motion each* follows everybody and gives a list; *Bone maps of each* runs once for each "
        "person. *Who is who* shows the numbers: with **how** = index, mask (also of SAM 3) or point it gives the motion of one person alone.",
        (-400, 80),
        (340, 380),
    )
    return flow
