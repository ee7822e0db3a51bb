"""The library of ComfyUI-Motion4D: no ComfyUI in here, no device picked, nothing printed.

Conventions, in short
- Metres, radians, seconds, pixels. World: right-handed, Y up, a character at rest faces +Z (its left is +X). Cameras: OpenCV axes
  (x right, y down, z forward), X_cam = R X_world + t, pixel centres at +0.5. Foreign units are converted where they enter.
- Rotations are matrices (..., 3, 3) on column vectors. Quaternions exist only in `formats`, as xyzw.
- Letters: B batch, V views, T frames, J joints, N points, L tokens, C channels, H W image.
- Missing is explicit: confidence 0, and NaN only there.

Imports go one way: formats, cues, estimators -> maps -> body -> geometry -> skeletons -> types -> shapes; specs -> networks.
Sampling knows no network: it sees a model as a function.
"""
