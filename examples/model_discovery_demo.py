"""The models that your key may use.

Run it with ``python model_discovery_demo.py [provider]``. Without an argument, the demo provider is asked.
"""

import sys

from provider_kit import Client, NotSupportedError

with Client(sys.argv[1] if len(sys.argv) > 1 else "demo") as client:
    try:
        for model in sorted(client.models(), key=lambda model: model.id):
            print(f"{model.id:<50} {model.context_window or ''}".rstrip())
    except NotSupportedError as error:
        print(error)
