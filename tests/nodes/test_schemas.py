"""What users' workflow files depend on: ids, inputs and outputs of every node, and the help that goes with them."""

import re
from pathlib import Path

import pytest
from motion4d.nodes.extension import NODES

DOCS = Path(__file__).resolve().parents[2] / "web" / "docs"

# A rename or a new place for a widget breaks the files that people have saved: changing this list is a decision.
SIGNATURES = {
    "Motion4D_MakeDemoMotion": "action seconds fps stature tremble gap -> motion",
    "Motion4D_LoadMotion": "file clip person fps video max_side default -> motion fps audio frames contents",
    "Motion4D_LoadMotionTokenizer": "file -> tokenizer",
    "Motion4D_FitMotionToTokenizer": "motion tokenizer fit_stature fill_gaps -> motion placement report",
    "Motion4D_EncodeMotionTokens": "motion tokenizer length -> tokens report",
    "Motion4D_DecodeMotionTokens": "tokens tokenizer placement original -> motion error_mm overlay report",
    "Motion4D_EditMotionTokens": "tokens operation start frames weight joints other tokenizer -> tokens",
    "Motion4D_InspectCodebook": "tokenizer tokens -> report plot",
    "Motion4D_InspectMotion": "motion tokenizer -> report plot",
    "Motion4D_CompareMotions": (
        "motion reference alignment timing within -> error_mm error_percent pck rigid_mm procrustes_mm bone_mm jitter report plot"
    ),
    "Motion4D_PlaceOrbitCameras": "motion views azimuth arc elevation fov margin width height keep_own_camera -> cameras",
    "Motion4D_TakeCameraFromView": "camera_info width height fov -> cameras",
    "Motion4D_MoveCamera": "motion path azimuth elevation degrees distance fov margin follow ease width height -> cameras report",
    "Motion4D_KeyCameras": (
        "motion times interpolation fov width height cameras camera_info_1 camera_info_2 camera_info_3 camera_info_4 -> cameras report"
    ),
    "Motion4D_LoadCameras": "file width height fps frames default -> cameras contents",
    "Motion4D_LoadCameraCalibration": "file metres up width height -> calibration cameras contents",
    "Motion4D_LoadPoseKeypoints": "file -> pose_keypoint contents",
    "Motion4D_CollectCameraKeypoints": (
        "calibration person least_confidence start_frames pose_keypoint_1 pose_keypoint_2 pose_keypoint_3 pose_keypoint_4 pose_keypoint_5"
        " pose_keypoint_6 pose_keypoint_7 pose_keypoint_8 -> keypoints cameras report"
    ),
    "Motion4D_TriangulateJoints": "keypoints cameras skeleton bone_lengths smoothness fps rig -> motion report plot",
    "Motion4D_ChangeLens": "cameras lens fov width height -> cameras",
    "Motion4D_SaveCameras": "cameras filename_prefix fps -> path report",
    "Motion4D_PreviewCameras": "cameras motion -> model_file report",
    "Motion4D_SendCameraToView": "cameras view frame motion -> camera_info",
    "Motion4D_MakeCameraEmbedding": "cameras view metres -> camera_embedding images width height length",
    "Motion4D_AlignViews": (
        "motion cameras center smoothing extent margin width height resize pixels background images -> cameras images alignment preview report"
    ),
    "Motion4D_PasteViewsBack": "crops alignment feather originals mask -> images",
    "Motion4D_AlignReferenceToPose": (
        "reference motion cameras view find_by x y match_height fill background reference_mask reference_motion"
        " -> image padding preview shift_x shift_y report"
    ),
    "Motion4D_RenderBoneMaps": (
        "motion cameras depth_range span virtual_leaves opacity background fingertips soft_edges radii"
        " -> bone_maps depth normals mask preview report"
    ),
    "Motion4D_EncodeBoneMaps": "bone_maps preset -> images mask person_masks report",
    "Motion4D_SaveDepthMaps": "bone_maps filename_prefix unit cameras -> path",
    "Motion4D_DrawSkeleton": "motion cameras style background -> images",
    "Motion4D_SaveMotion": "motion filename_prefix format -> path",
    "Motion4D_PreviewMotion": "motion -> model_file",
    "Motion4D_CutMotion": "motion start frames images audio -> motion images audio",
    "Motion4D_CleanMotion": ("motion fill_gaps smoothing adaptive torso arms legs head hands foot_lock hip_give -> motion report plot"),
    "Motion4D_LoadPoseEstimator": "estimator bgr -> estimator",
    "Motion4D_ExtractMotion": "estimator video fps field_of_view batch find_shots -> people fps audio report",
    "Motion4D_TakeVideoFrames": "video fps max_side -> images report",
    "Motion4D_EditMotion": "motion operation start frames fps blend keep_drift other -> motion fps report",
    "Motion4D_RetargetMotion": "motion torso arms legs head keep_contacts keep_stature target -> motion report",
    "Motion4D_ConvertSpace": "motion space view cameras -> motion report",
    "Motion4D_ConvertSkeleton": "motion skeleton -> motion report",
    "Motion4D_ConvertToMotion": "pose_data fps person width height space -> motion report",
    "Motion4D_ConvertToPeople": "pose_data fps width height -> people report",
    "Motion4D_ConvertToKeypoints": "pose_keypoint person -> keypoints report",
    "Motion4D_ConvertToTokens": "mtvcrafter_motion tokenizer fps -> tokens report",
    "Motion4D_ConvertMotionToNLF": "motion view cameras motion_2 motion_3 motion_4 -> nlf_poses report",
    "Motion4D_ConvertMotionToOpenPose": "motion view cameras motion_2 motion_3 motion_4 -> pose_keypoint",
    "Motion4D_ConvertMotionToSMPL": "motion -> smpl_params report",
    "Motion4D_SaveSMPLParameters": "motion filename_prefix -> npz_path report",
    "Motion4D_ConvertTokens": "tokens tokenizer -> mtvcrafter_motion",
    "Motion4D_LoadBodyModel": "file -> body_model report",
    "Motion4D_PoseBodyModel": "body_model motion -> motion report",
    "Motion4D_MakeBodyMesh": "body_model motion frame -> mesh",
    "Motion4D_CurateClips": "estimator folder frames uncertain flow blur filename_prefix -> report manifest kept",
    "Motion4D_LoadRig": "file skin clip fps default -> rig animation motion contents",
    "Motion4D_SolveSkeleton": "motion skeleton twist method aim size rig cameras -> animation motion report",
    "Motion4D_PlaceRigCameras": "rig azimuths paper_literal elevation margin distance lens width height animation -> cameras report",
    "Motion4D_RenderRigViews": (
        "rig cameras frame soft_edges textures background animation -> images depth normals mask maps radii report"
    ),
    "Motion4D_DrawPoseMaps": "motion cameras radius bone_width order detail -> images pose_maps mask detail_images report",
    "Motion4D_ReadPoseMaps": "images pose_maps views temporal detail_images -> keypoints overlay report",
    "Motion4D_SaveAnimatedRig": "animation filename_prefix format key_degrees key_metres -> path model_file report",
    "Motion4D_LoadReference": "file default -> image",
    "Motion4D_LoadMVDiT": "file precision -> model info",
    "Motion4D_LoadMotionAdapter": "file -> adapter",
    "Motion4D_LoadTextEncoder": "file -> clip",
    "Motion4D_LoadImageEncoder": "file -> clip_vision",
    "Motion4D_LoadVideoVAE": "file -> vae",
    "Motion4D_DownloadModel": "file download -> path report",
    "Motion4D_ApplyMotionAttention": "model strength start_percent end_percent adapter -> model",
    "Motion4D_ConditionVideoOnMotion": (
        "model tokens reference vae width height crop frames fit posterior seed positive negative clip_vision clip_vision_output"
        " -> positive negative latent reference report"
    ),
    "Motion4D_SampleMVDiT": "model positive negative latent seed recipe steps cfg guidance_start guidance_end guider reuse -> latent",
    "Motion4D_SampleLongVideo": (
        "model positive negative latent mode window overlap seed recipe steps cfg vae clip_vision reuse -> latent report"
    ),
    "Motion4D_GuideByMotionAndText": "model positive negative cfg motion start_percent end_percent -> guider",
    "Motion4D_ReleasedSigmas": "recipe steps -> sigmas",
    "Motion4D_SeeMotionFromCameras": "motion cameras -> motions views",
    "Motion4D_GatherViews": "positive latent negative -> positive negative latent views",
    "Motion4D_EmptyMultiViewLatent": "views width height frames layout -> latent latent_frames",
    "Motion4D_ApplyWindows": (
        "model frame_window frame_overlap view_window view_overlap closed tile_views tile_frames balance balance_start balance_end views_as"
        " anchor_first cameras tile_overlap -> model"
    ),
    "Motion4D_MultiViewNoise": "noise_seed kind along window overlap -> noise",
    "Motion4D_SplitViews": "images views view -> each_view chosen frames",
    "Motion4D_ViewGrid": "images views columns -> images",
    "Motion4D_InspectDrift": "latent window overlap images -> report plot",
    "Motion4D_ShowMotionAttention": "model positive latent blocks joints progress seed frames -> images report",
    "Motion4D_CompareVideos": "height show_captions captions reference driving pose reconstructed generated generated_2 generated_3 generated_4 -> images",
    "Motion4D_SelectPerson": "people how index x y frame absence relink_shots mask track_data images -> motion count report preview",
    "Motion4D_SplitPeople": "people most absence relink_shots -> motions count report",
    "Motion4D_GatherPeople": "motion_0 motion_1 motion_2 motion_3 spacing width height cameras -> people",
    "Motion4D_ComposeBoneMaps": "bone_maps depth_range span more_bone_maps -> bone_maps depth normals mask",
    "Motion4D_InspectConsistency": "frame_window frame_overlap view_window view_overlap closed tile_views tile_frames views frames_per_latent latent images "
    "tile_overlap -> seams report heat_map",
    "Motion4D_MakePersonMasks": (
        "images source person index separate grow mask track_data bone_maps motion cameras -> mask masks count report"
    ),
    "Motion4D_ExtractDrivingCues": (
        "images mask look filter cutoff missing drop_bad_masks faces_by face_margin face_placement scale_by softening grid cell fps reference_mask"
        " bboxes pose_keypoint motion cameras reference_face skeleton reference"
        " -> pose face body_location face_location preview report"
    ),
    "Motion4D_ExtractPoseCue": (
        "images mask look filter cutoff missing area window component overlap fps skeleton -> pose mask kept report"
    ),
    "Motion4D_ExtractFaceCue": (
        "images source margin smoothing placement width height mask_shape bboxes pose_keypoint motion cameras mask"
        " -> face face_mask bboxes preview report"
    ),
    "Motion4D_AlignToReference": (
        "reference_mask masks scale_by face_mask reference_face images reference"
        " -> masks face_mask images scale shift_x shift_y preview report"
    ),
    "Motion4D_MakeLocationCue": "masks softening grid cell face_mask reference -> body_location face_location preview report",
    "Motion4D_CutOutPerson": "images mask in_cells rows columns ground -> images mask report",
    "Motion4D_ColourPeople": "masks ground more_masks -> images",
    "Motion4D_LoadMetricNetwork": "file measures values side clip_frames clip_stride -> network",
    "Motion4D_EvaluateVideo": (
        "generated reference protocol cut_to_shorter person network_1 network_2 network_3 network_4 network_5 generated_keypoints driving_keypoints"
        " face_boxes identity identity_boxes -> report plot numbers psnr ssim l1"
    ),
}


@pytest.fixture(params=NODES, ids=lambda node: node.__name__)
def schema(request, host):
    return request.param.GET_SCHEMA()


def test_ids_inputs_and_outputs_are_the_ones_that_saved_workflows_know(host):
    schemas = [node.GET_SCHEMA() for node in NODES]
    found = {one.node_id: f"{' '.join(i.id for i in one.inputs)} -> {' '.join(o.display_name for o in one.outputs)}" for one in schemas}
    assert found == SIGNATURES


def test_every_node_explains_itself(schema):
    assert schema.node_id.startswith("Motion4D_")
    assert schema.category.startswith("motion4d/")
    assert len(schema.description) > 40
    assert schema.search_aliases
    assert re.fullmatch(r"([A-Z0-9][\w3]*|from|to|of|in) ?.*", schema.display_name)
    for given in schema.inputs:
        assert given.tooltip and given.tooltip.endswith("."), f"{given.id} has no tooltip that is a sentence"


def test_the_help_page_names_every_input_and_output(schema):
    page = (DOCS / f"{schema.node_id}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {schema.display_name}\n")
    for name in [*(one.id for one in schema.inputs), *(one.display_name for one in schema.outputs)]:
        assert f"`{name}`" in page, f"{name} is not explained"
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", page):
        assert (DOCS / picture).is_file(), picture


def test_no_help_page_is_left_of_a_node_that_is_gone():
    assert {path.stem for path in DOCS.glob("*.md")} == set(SIGNATURES)


def test_a_seed_says_what_becomes_of_it_after_a_run(schema):
    """The page adds that choice to every whole number of this name; unless the schema has it too, examples lack a value and it counts as random."""
    assert all(one.control_after_generate for one in schema.inputs if one.id in ("seed", "noise_seed"))
