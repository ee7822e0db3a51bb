"""Dictionaries that other packs hand from node to node, to and from the types of this library: looked at by their keys, never by importing those packs."""

from .load3d_camera import load3d_from_rig, rig_from_load3d
from .mhr_poses import from_mhr, mhr_frames
from .mtvcrafter_motion import from_mtvcrafter_motion, to_mtvcrafter_motion
from .nlf_poses import from_nlfpred, nlf_frames, to_nlfpred
from .pose_data import pose_data_frames, pose_data_motion
from .pose_frames import PoseFrames
from .pose_keypoints import face_from_pose_keypoints, from_pose_keypoints, to_pose_keypoints
from .smpl_parameters import SPACES, from_smpl_params, save_smpl_params, to_smpl_params
