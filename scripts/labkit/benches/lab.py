"""The course's MLP: the seconds that a learner waits, beside the course's own loop in PyTorch (one story a step).

The loop's 20,000 steps are timed over a part of them. glasslab trains as notebook 2 does; both must end at the bigrams' loss.
"""

from .. import peers
from ..peers import ours
from ..say import line

LOOP = 20_000


def run(brief: bool) -> dict:
    data, _ = ours.texts()
    turns, measured = (1, 200) if brief else (3, 4000)
    device, mine, theirs = ours.device(), [], []
    for _ in range(turns):
        result = ours.train({"model": "mlp", "steps": 20 if brief else 2000}, None, {"reports": 1})
        mine.append(result["seconds"])
        loop = peers.run("lab", data=data, steps=measured, device=device)
        theirs.append(loop["seconds"] * LOOP / measured)
    ratios = ours.ratio(theirs, mine)
    line(f"the loop's {LOOP} steps : glasslab's training {ours.show(ratios)}; held-out {result['nats_per_char']:.3f} nats/char")
    return {"speed_up": ratios[0], "nats_per_char": result["nats_per_char"], "loop_train_nats": loop["train_nats"]}
