"""Makes learners' notebooks of solved ones, with nbgrader's own steps.

This file is run by the Python of nbgrader's environment: generate_learners.py SOLUTIONS OUT STUB
"""

import sys
from pathlib import Path

import nbformat
from nbgrader.converters import GenerateAssignment
from nbgrader.preprocessors import ClearSolutions, IncludeHeaderFooter, InstantiateTests, SaveCells

# These need a course's database, a running kernel, or files that we don't have.
LEFT_OUT = (SaveCells, InstantiateTests, IncludeHeaderFooter)


def main(solutions: Path, out: Path, stub: str) -> None:
    steps = [step for step in GenerateAssignment().preprocessors if step not in LEFT_OUT]
    for path in sorted(solutions.glob("*.ipynb")):
        notebook, resources = nbformat.read(path, as_version=4), {}
        for step in steps:
            preprocessor = step(code_stub={"rust": stub}) if step is ClearSolutions else step()
            preprocessor.enabled = True
            notebook, resources = preprocessor.preprocess(notebook, resources)
        nbformat.write(notebook, out / path.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
