"""What `glasslab sweep --engine tcp://…` runs: gives the runs of a sweep to a Dask scheduler, and their answers back as they come.

    python engine.py tcp://HOST:PORT

Runs come as lines of JSON on standard input, up to its end; answers go as lines of JSON to standard output, in the order in which
they are ready. What is to be told goes to standard error. A scheduler that is gone is waited for: what it had not answered is
given to the next one at its place.
"""

import json
import logging
import os
import sys
import threading
import time
from pathlib import Path

import glasslab_task
from distributed import Client, as_completed
from distributed.comm import CommClosedError

# For a scheduler that was never there; and for one that has gone.
FIRST, AGAIN = 20.0, 600.0
# A run that fails for want of something on its machine is tried so many times more, elsewhere if there is a choice.
RETRIES = 2


class Lost(Exception):
    """The scheduler is gone, and with it what it knew."""


def say(text: str) -> None:
    print(f"glasslab: {text}", file=sys.stderr, flush=True)


def main(address: str) -> int:
    # What Dask says of a lost connection is a page; what it means is said here.
    logging.disable(logging.CRITICAL)
    left = {task["name"]: task for task in map(json.loads, sys.stdin)}
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
    patience, gone = FIRST, None
    while left:
        try:
            with Client(address, timeout=5) as client:
                if gone is not None:
                    say(f"the scheduler at {address} is there again: {len(left)} runs are given to it")
                patience, gone = AGAIN, None
                work(client, left, address)
        except (Lost, OSError, CommClosedError, TimeoutError) as error:
            if gone is None:
                gone = time.monotonic()
                if patience == AGAIN:
                    say(f"the scheduler at {address} is gone; what has come is kept, and {len(left)} runs wait until it is back")
            if time.monotonic() - gone > patience:
                say(f"there is no scheduler at {address} ({type(error).__name__}). Start one by `scripts/lab dask scheduler`, then run "
                    "the same command again: it goes on where it stopped")
                return 1
            time.sleep(1)
    return 0


def work(client: Client, left: dict, address: str) -> None:
    """Gives the runs to the scheduler, and takes what has an answer out of `left`."""
    if not client.scheduler_info()["workers"]:
        say(f"the scheduler at {address} has no worker yet: `scripts/lab dask worker {address}` on each machine starts some")
    if client.dashboard_link:
        say(f"to watch: {client.dashboard_link}")
    # Where a worker was not started by scripts/lab, it gets the function with the first run.
    client.upload_file(str(Path(glasslab_task.__file__)))
    stamp = f"{os.getpid()}-{time.monotonic_ns()}"
    futures = {client.submit(glasslab_task.run, task, key=f"{name}-{stamp}", retries=RETRIES): name for name, task in left.items()}
    for future in as_completed(futures):
        name = futures[future]
        match future.status:
            case "finished":
                answer = future.result()
            case "error":
                answer = {"unable": str(future.exception())}
            case _:  # cancelled, lost
                raise Lost
        print(json.dumps({"name": name, **answer}), flush=True)
        del left[name]
        future.release()


def end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(130)
