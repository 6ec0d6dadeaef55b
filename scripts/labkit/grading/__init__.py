"""Grading a course: each learner's notebooks run in a sandbox, their answers are judged outside of it.

    command     scripts/lab grade: what is there, what is missing, how many at a time, the table
    submission  what a learner has handed in, read as what it is: text of a stranger
    sandbox     bubblewrap, its limits, and who watches them
    cgroup      limits for all of its processes together, where they can be had
    course      the course's folder, and the results that are kept in it
    run         one notebook of one learner, from the file to the verdicts
    inside      runs a notebook's cells, in the sandbox
    verdicts    the answers that came out of it, judged by `glasslab check`
    gradebook   what nbgrader is told, in its own environment
    table       the table, for the terminal, as CSV and as a page
"""
