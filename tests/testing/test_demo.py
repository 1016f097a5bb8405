"""The provider inside this process."""

import os
import subprocess
import sys
import threading

import pytest

from provider_kit import Client, Message
from provider_kit.testing import demo


@pytest.fixture(autouse=True)
def _stopped():
    """No test leaves a server behind."""
    yield
    demo.stop_demo()


def test_it_needs_nothing(call):
    """No key, no network, no model; real HTTP all the same."""
    client = Client("demo")
    assert client.model == "demo"
    assert client.base_url.startswith("http://127.0.0.1:")
    assert call.chat(client, "What is 2 + 3?").text == "2 + 3 = 5"
    assert call.stream(client, "What is 2 + 3?")[1].text == "2 + 3 = 5"
    assert call.chat(Client("demo/echo"), "Hello").text == "Hello"
    assert [model.id for model in call.models(client)] == ["demo", "echo"]
    assert call.health_check(client)
    client.close()


def test_it_holds_a_conversation(call):
    """It remembers what was said."""
    conversation = [Message.user("My name is Ada.")]
    client = Client("demo")
    conversation += [call.chat(client, conversation).message, Message.user("What is my name?")]
    assert call.chat(client, conversation).text == "Your name is Ada."
    client.close()


def test_one_server_serves_all_clients():
    """It is started once, by whichever thread comes first, and stopped once."""
    urls = []
    threads = [threading.Thread(target=lambda: urls.append(demo.demo_url())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(urls)) == 1
    assert Client("demo").base_url == urls[0]
    demo.stop_demo()
    demo.stop_demo()
    assert not [thread for thread in threading.enumerate() if thread.name == "provider-kit-fake-server"]


def test_an_address_of_your_own_starts_no_server():
    """``base_url`` goes before."""
    assert Client("demo", base_url="http://127.0.0.1:9/v1").base_url == "http://127.0.0.1:9/v1"
    assert demo._server._server is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_starts_its_own():
    """The parent's server has no thread in the child."""
    parent = demo.demo_url()
    child = os.fork()
    if child == 0:
        try:
            good = demo.demo_url() != parent and Client("demo").chat("What is 2 + 3?").text == "2 + 3 = 5"
            os._exit(0 if good else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert demo.demo_url() == parent


def test_a_program_that_uses_it_ends():
    """Its thread keeps no process alive, and nothing is written to stderr."""
    code = "from provider_kit import Client\nprint(Client('demo').chat('What is 2 + 3?').text)"
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("2 + 3 = 5\n", "", 0)
