"""The notebook of the examples, executed by a real kernel: what its cells show."""

import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


#: What a task draws after its cell has ended reaches browsers, but not the client that runs the notebook here.
LATER = """
stream = client.astream("Tell me more")
display(stream)
while not stream.response.text:
    await __import__("asyncio").sleep(0.05)
await __import__("asyncio").sleep(0.3)
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The outputs of each code cell, by its source."""
    folder = tmp_path_factory.mktemp("kernel")
    spec = folder / "kernels" / "here"
    spec.mkdir(parents=True)
    argv = (
        f'["{sys.executable}", "-W", "error::ResourceWarning", "-m", "ipykernel_launcher", "-f", "{{connection_file}}"]'
    )
    (spec / "kernel.json").write_text(f'{{"argv": {argv}, "display_name": "here", "language": "python"}}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder))
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        patch.setenv("HOME", str(folder))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        notebook.cells.append(nbformat.v4.new_code_cell(LATER))
        nbclient.NotebookClient(notebook, kernel_name="here", timeout=120).execute()
    return {cell.source: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def shown(outputs, source, kind="text/markdown"):
    """What the cell that begins so shows last, in one form."""
    found = next(one for text, one in outputs.items() if source in text)
    return [one.data[kind] for one in found if "data" in one and kind in one.data]


def test_answers_show_as_markdown(outputs):
    """And in terminals as what they are."""
    assert shown(outputs, 'client.chat("What is 2 + 3?")') == ["2 + 3 = 5"]


def test_streams_are_shown_once_whole(outputs):
    """The display is drawn again and again, and holds the whole text in the end."""
    assert shown(outputs, 'client.stream("Tell') == ["You said: Tell me a story"]
    assert shown(outputs, 'client.astream("Tell me more') == ["You said: Tell me more"]
    (begun,) = shown(outputs, 'client.astream("Tell me a story')  # it is drawn later
    assert begun == ""


def test_conversations_routers_and_diagnoses_show(outputs):
    """Each in its own form."""
    (talk,) = shown(outputs, "client.conversation()")
    assert "**assistant**: Your name is Ada." in talk
    assert "demo/demo" in shown(outputs, "Router([client])", "text/html")[0]
    assert "<table>" in shown(outputs, "client.diagnose", "text/html")[0]


def test_a_blocking_call_does_not_warn(outputs):
    """There a loop always runs, and waits for the cell."""
    texts = [one.text for found in outputs.values() for one in found if one.output_type == "stream"]
    assert not any("BlockingCallWarning" in text for text in texts)


def test_many_prompts_have_a_bar(outputs):
    """It ends at all of them."""
    found = next(one for text, one in outputs.items() if "client.map" in text)
    assert "2 of 2" in "".join(str(one) for one in found)


def test_errors_are_short(outputs):
    """The line of the cell, the error and its hint; nothing of the library's own lines."""
    (error,) = next(one for text, one in outputs.items() if "temprature" in text)
    assert error.output_type == "error"
    lines = "\n".join(error.traceback).split("\n")
    assert len(lines) <= 5
    assert "Did you mean 'temperature'?" in lines[-1]
