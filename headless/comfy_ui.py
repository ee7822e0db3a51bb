"""Stand-in for `comfy_api.latest.ui`: what a node tells the host's pages. Nobody looks at a preview here, so none is written."""

from .comfy_io import FolderType


class SavedResult(dict):
    """A file in one of the host's folders."""

    def __init__(self, filename: str, subfolder: str, type: FolderType):
        super().__init__(filename=filename, subfolder=subfolder, type=FolderType(type).value)

    @property
    def filename(self):
        return self["filename"]

    @property
    def subfolder(self):
        return self["subfolder"]

    @property
    def type(self):
        return FolderType(self["type"])


class PreviewImage:
    """Images (B, H, W, 3) in 0..1."""

    def __init__(self, image, animated=False, cls=None, **_):
        self.animated = animated

    def as_dict(self):
        return {"images": [], "animated": (self.animated,)}


class PreviewMask(PreviewImage):
    """Masks (B, H, W)."""


class SavedImages:
    """Image files that the node has written."""

    def __init__(self, results, is_animated=False):
        self.results, self.is_animated = results, is_animated

    def as_dict(self):
        return {"images": self.results} | ({"animated": (True,)} if self.is_animated else {})


class PreviewVideo:
    """Video files that the node has written."""

    def __init__(self, values, **_):
        self.values = values

    def as_dict(self):
        return {"images": self.values, "animated": (True,)}


class PreviewUI3D:
    """A 3D file of the output folder, seen by a camera."""

    def __init__(self, model_file, camera_info, **_):
        self.model_file, self.camera_info = model_file, camera_info

    def as_dict(self):
        return {"result": [self.model_file, self.camera_info, None]}


class PreviewText:
    """A text."""

    def __init__(self, value, **_):
        self.value = value

    def as_dict(self):
        return {"text": (self.value,)}
