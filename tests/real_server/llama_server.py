"""Run a real llama.cpp HTTP server on loopback, in a subprocess.

As a module, ``running_server`` is the context manager for tests.  As a script, this file is the
subprocess: it serves one model until its standard input ends, so that it cannot outlive the
process that started it.
"""

import argparse
import select
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

STARTUP_SECONDS: Final = 30.0
SHUTDOWN_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.02

MODEL_ALIAS: Final = "tiny-random"


class ServerStartError(RuntimeError):
    """The server did not become healthy in time."""


def serve(model: Path, context: int, *, embeddings: bool) -> None:
    """Serve the model on a free loopback port until standard input ends.

    The base URL is written to standard output as one line; llama.cpp logs go to standard error.
    """
    import xllamacpp  # type: ignore[import-untyped]

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {MODEL_ALIAS}
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # a free port
    params.n_ctx = context
    params.n_parallel = 1
    params.cpuparams.n_threads = 1  # the model is too small to share between threads
    params.cpuparams_batch.n_threads = 1
    params.n_threads_http = 4
    params.fit_params = False  # take n_ctx as it is
    params.ui = False
    params.warmup = False
    if embeddings:
        params.embedding = True
        params.n_batch = params.n_ubatch = context  # an input has to fit in one batch
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    # Returns when the model is loaded; requests are served by native threads.
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.buffer.read()


@contextmanager
def running_server(model: Path, *, log: Path, context: int = 2048, embeddings: bool = False) -> Iterator[str]:
    """Serve a GGUF model and yield the base URL, such as ``http://127.0.0.1:41234``.

    Raises:
        ServerStartError: when the server is not healthy within ``STARTUP_SECONDS``.
    """
    command = [sys.executable, __file__, str(model), "--context", str(context)]
    if embeddings:
        command.append("--embeddings")
    with (
        log.open("wb") as log_file,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log_file, bufsize=0) as process,
    ):
        try:
            yield _wait_until_healthy(process, log)
        finally:
            _stop(process)


def _wait_until_healthy(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + STARTUP_SECONDS
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], STARTUP_SECONDS)
    url = process.stdout.readline().decode().strip() if readable else ""
    while url and process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=1.0):
                return url
        except (urllib.error.URLError, TimeoutError):
            time.sleep(POLL_SECONDS)
    message = f"llama.cpp server did not start:\n{log.read_text(errors='replace')}"
    raise ServerStartError(message)


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(SHUTDOWN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def main() -> None:
    """Serve the model that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--embeddings", action="store_true")
    options = parser.parse_args()
    serve(options.model, options.context, embeddings=options.embeddings)


if __name__ == "__main__":
    main()
