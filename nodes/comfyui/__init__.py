"""ComfyUI behind the door of `nodes/host.py`: the only package that imports `comfy` and `folder_paths`."""
