"""Cases of a client program: a function each, run one after the other, a line each on stdout."""

import os
import sys
import threading
import time
import traceback
import uuid

_CASES = []

# A case that has not ended by then has failed; Apache Kafka on a busy machine is the measure.
CASE_SECONDS_MAX = 90


def case(function):
    """Declares a case; its name is the function's."""
    _CASES.append(function)
    return function


def unique(prefix):
    """A name that no other case uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def eventually(what, attempt, seconds=30):
    """Repeats an attempt until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        value = attempt()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)


def equal(found, expected):
    """Fails with both values unless they are equal."""
    if found != expected:
        raise AssertionError(f"found {found!r}, expected {expected!r}"[:600])


def main(seconds_max=CASE_SECONDS_MAX):
    """Runs `PROGRAM ADDRESS [TEXT]`: the cases with the text in their name, or all."""
    address = sys.argv[1]
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    for function in _CASES:
        if wanted in function.__name__:
            _run(function, address, seconds_max)
    sys.stdout.flush()
    # Threads of a case that hangs do not keep the program.
    os._exit(0)


def _run(function, address, seconds_max):
    outcome = [f"not done after {seconds_max} s"]

    def attempt():
        try:
            function(address)
            outcome[0] = None
        except BaseException as error:  # a case must not end the others
            if os.environ.get("COMPAT_TRACE"):
                traceback.print_exc()
            outcome[0] = " ".join(f"{type(error).__name__}: {error}".split())[:600]

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds_max)
    if outcome[0] is None:
        print(f"PASS {function.__name__}", flush=True)
    else:
        print(f"FAIL {function.__name__}: {outcome[0]}", flush=True)
