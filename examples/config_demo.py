"""Clients of a configuration file: what it says, what counts in the end, and what is wrong with a broken one.

Run it with ``python config_demo.py``, or ``python config_demo.py my-config.yaml``.
"""

import os
import sys
import tempfile

from provider_kit import ConfigError, load_config

CONFIG = """\
providers:
  quick:
    type: demo
    model: echo
    timeout: 10
  careful:
    type: demo
    max_retries: 5
  spare:
    type: openai
    api_key: ${OPENAI_API_KEY}
    enabled: false
routing:
  usual: {strategy: fallback, providers: [quick, careful]}
"""
BROKEN = CONFIG.replace("timeout: 10", "timout: 10").replace("max_retries: 5", "max_retries: five")

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "config.yaml")
    with open(path, "w") as file:
        file.write(CONFIG)
    with load_config(sys.argv[1] if len(sys.argv) > 1 else path) as clients:
        for name, client in clients.items():
            print(f"{name}: {client.config.type}/{client.model}, {client.config.max_retries} retries")
        print("switched off:", ", ".join(clients.disabled) or "none")
        print(f"{clients.default.provider} says:", clients.default.chat("What is 2 + 3?").text)

    with open(path, "w") as file:
        file.write(BROKEN)
    try:
        load_config(path)
    except ConfigError as error:
        for problem in error.problems:
            print(f"line {problem.line}: {problem.message} {problem.remedy}")
