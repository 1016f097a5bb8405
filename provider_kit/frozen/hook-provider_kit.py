"""Modules that a frozen program needs and PyInstaller cannot find: they are imported by name on first use."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata


def _is_needed(name: str) -> bool:
    """Whether a program may need a module: not this folder, nor modules that import pytest."""
    return ".frozen" not in name and not name.endswith(".pytest_plugin")


hiddenimports = collect_submodules("provider_kit", filter=_is_needed)
# Entry points of secrets and storages are looked up by the names in it.
datas = copy_metadata("provider-kit") + collect_data_files("provider_kit", includes=["**/*.json"])
