"""What is specific to each provider: one small file or table row each, found by name through the registry.

A provider is data: base URL, environment variables, key header, quirks; a subclass where that is not enough. It opens
nothing, and reads the environment only through the mapping it is given. No code elsewhere compares a provider's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_kit.model.lazy_names import lazy_names

if TYPE_CHECKING:
    from provider_kit.providers.base import Provider as Provider
    from provider_kit.providers.registry import provider_names as provider_names
    from provider_kit.providers.registry import register_provider as register_provider
    from provider_kit.wire.http import Signer as Signer

_HOMES = {
    "provider_kit.providers.base": ("Provider",),
    "provider_kit.providers.registry": (
        "provider_names",
        "register_provider",
    ),
    "provider_kit.wire.http": ("Signer",),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

__all__ = ["Provider", "Signer", "provider_names", "register_provider"]
