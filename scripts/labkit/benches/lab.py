"""The course's MLP: the seconds that a learner waits, beside the course's own loop in PyTorch (one story a step).

The loop's 20,000 steps are timed over a part of them. glasslab trains as notebook 2 does; both must end at the bigrams' loss.
"""

from .. import peers
from ..claims import Found, Peak, Size, claim
from ..peers import ours
from ..say import line

LOOP = 20_000


def run(size: Size, peak: Peak) -> Found:
    data, _ = ours.texts()
    measured = size.of(200, 300, 4000)
    device, mine, theirs = ours.device(), [], []
    for _ in range(size.of(1, 2, 5)):
        result = ours.train({"model": "mlp", "steps": size.of(20, 2000, 2000)}, None, {"reports": 1})
        mine.append(result["seconds"])
        loop = peers.run("lab", data=data, steps=measured, device=device)
        theirs.append(loop["seconds"] * LOOP / measured)
    told = claim(theirs, mine)
    line(f"the loop's {LOOP} steps : glasslab's training {told}; held-out {result['nats_per_char']:.3f} nats/char")
    found = Found(nats_per_char=result["nats_per_char"], loop_train_nats=loop["train_nats"])
    found.add("speed_up", told, f"the course's loop of {LOOP:,} steps in PyTorch : notebook 2's training, both to the bigrams' loss "
              f"({result['nats_per_char']:.3f})", "8", 8)
    return found
