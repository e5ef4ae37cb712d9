"""Walks the road once, on real input, and says what it does."""

from __future__ import annotations

import sys
import time

import rhdesk as rh
from rhdesk.demo.digits import train
from rhdesk.handles.session import session

ALPHAS = (1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1)


def main() -> None:
    began = time.monotonic()
    _say("Bring up the cluster `here`: Ray on loopback, behind a token.")
    rh.here.up_if_not()

    _say(
        "Make an environment with scikit-learn, which this Python need not have, and send train()."
    )
    env = rh.env(name="digits", reqs=["scikit-learn"])
    remote = rh.function(train).to(rh.here, env=env)

    _say("Call it. Its log streams while it trains.")
    result = remote(alpha=1e-4, epochs=5)
    _print(f"    returned {result}")

    _say(f"Sweep {len(ALPHAS)} settings over every core with .map.")
    results = remote.map(ALPHAS, [10] * len(ALPHAS), stream_logs=False)
    _table(results)

    _say("Save it as ~/digits, its code and environment with it, and call what was saved, warm.")
    remote.save("~/digits")
    saved = rh.load("~/digits")
    best = max(results, key=lambda each: each["accuracy"])
    clock = time.monotonic()
    saved(best["alpha"], 1, stream_logs=False)
    _print(
        f"    ~/digits answered in {(time.monotonic() - clock) * 1e3:.0f} ms, one epoch trained"
    )

    _say("Its history, and the runs that are on record now:")
    for version in saved.history():
        saved_at = version.saved_at.astimezone().strftime("%H:%M:%S")
        _print(f"    {version.version[:10]}  {saved_at}  {version.author}  {version.summary}")
    for run in session().desk.runs(limit=4):
        _print(f"    {run.run_id[-10:]}  {run.status:<9}  {run.function:<8}  {run.lines:>3} lines")

    _say(
        f"Done in {time.monotonic() - began:.0f} s. The cluster stays up, the record stays for good:"
    )
    _print("    rhdesk                 the terminal desk")
    _print("    rhdesk logs last       what the last run printed")
    _print("    rhdesk call '~/digits' alpha=0.001 epochs=3")
    _print("    rhdesk down here       end the cluster; names and runs stay")
    if "--down" in sys.argv:
        rh.here.teardown()


def _table(results: list[dict[str, float]]) -> None:
    _print("       alpha  accuracy")
    best = max(each["accuracy"] for each in results)
    for each in results:
        mark = "  best" if each["accuracy"] == best else ""
        bar = "#" * round((each["accuracy"] - 0.8) * 100)
        _print(f"    {each['alpha']:8g}    {each['accuracy']:.4f}  {bar}{mark}")


def _say(text: str) -> None:
    _print(f"\n{text}")


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
