"""What a driving video says to a model, as pictures: the pose cue, the face cue and the location cue (DirectAnimator)."""
