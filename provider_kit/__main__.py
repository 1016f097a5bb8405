"""``python -m provider_kit`` is the command ``provider-kit``."""

from provider_kit.cli import main

if __name__ == "__main__":
    main()
