"""A page with every picture of the lab, from a trained model."""

import subprocess
import webbrowser
from pathlib import Path

from . import kernel, python_env
from .layout import OUT
from .say import Problem, line

# A model of the preset `small` writes readable stories after a minute on two cores.
SECONDS = 60


def make(model: str | None, seconds: int, page: str | None, show: bool) -> int:
    """Draws the page; without a model, trains one first and keeps it beside the page."""
    program = str(kernel.program("glasslab"))
    environment = python_env.environment()
    target = Path(page).absolute() if page else OUT / "gallery.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    if model is None:
        model = str(target.with_suffix(".safetensors"))
        if Path(model).exists():
            line(f"Drawing the model of the last time, {model}; remove it to train another.")
        else:
            line(f"Training a small transformer for {seconds} s, to have something to look at.")
            command = [program, "train", "--preset", "small", "--seconds", str(seconds), "--out", model]
            if subprocess.run(command, env=environment).returncode != 0:
                raise Problem("The model could not be trained (the message stands above).")
    if subprocess.run([program, "gallery", model, "--out", str(target)], env=environment).returncode != 0:
        raise Problem("The page could not be drawn (the message stands above).")
    line(f"{target}: open it in a browser")
    if show:
        webbrowser.open(target.as_uri())
    return 0
