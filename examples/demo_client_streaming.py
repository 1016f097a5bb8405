"""An answer, printed while it is written.

Run it with ``python demo_client_streaming.py [provider/model]``. Without an argument, the demo provider answers.
"""

import sys

from provider_kit import Client, StreamError

client = Client(sys.argv[1] if len(sys.argv) > 1 else "demo")
stream = client.stream("Tell me in five sentences how a river begins.")
try:
    for chunk in stream:
        print(chunk.text, end="", flush=True)
except StreamError as error:
    print(f"\nThe answer was cut: {error}", file=sys.stderr)
else:
    print(f"\n\n{stream.response.usage.completion_tokens} tokens, {stream.response.finish_reason}")
