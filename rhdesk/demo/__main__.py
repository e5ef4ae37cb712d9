"""Walks the road once, on real input, and says what it does."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import rhdesk as rh
from rhdesk.handles.session import session

DIGITS = Path(__file__).parent / "project" / "digits.py"
ALPHAS = (1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1)


def main() -> None:
    asked = _arguments()
    began = time.monotonic()
    _say("Bring up the cluster `here`: Ray on loopback, behind a token.")
    rh.here.up_if_not()
    _took(began)

    _say(
        "Make an environment with scikit-learn, which this Python need not have, and send it train()."
    )
    clock = time.monotonic()
    env = rh.env(name="digits", reqs=["scikit-learn", "numpy"])
    remote = rh.function(f"{DIGITS}:train").to(rh.here, env=env)
    _took(clock)

    _say("Call it. What it prints comes here while it trains.")
    _print(f"    returned {remote(alpha=1e-4, epochs=5)}")

    _say(f"Sweep {len(ALPHAS)} settings over every core with .map.")
    clock = time.monotonic()
    results: list[dict[str, Any]] = remote.map(ALPHAS, [20] * len(ALPHAS), stream_logs=False)
    wall_s = time.monotonic() - clock
    _table(results)
    work_s = sum(each["seconds"] for each in results)
    processes = len({each["process"] for each in results})
    _print(f"    {work_s:.1f} s of training in {wall_s:.1f} s, by {processes} processes")

    _say("Save it as ~/digits, its code and environment with it, and call what was saved, warm.")
    remote.save("~/digits")
    saved = rh.load("~/digits")
    best = max(results, key=lambda each: each["accuracy"])
    clock = time.monotonic()
    again = saved(best["alpha"], 20, stream_logs=False)
    _print(
        f"    ~/digits answered in {(time.monotonic() - clock) * 1e3:.0f} ms: "
        f"accuracy {again['accuracy']:.4f}, as in the sweep"
    )

    _say("Its history, and the runs that are on record now:")
    for version in saved.history(4):
        saved_at = version.saved_at.astimezone().strftime("%H:%M:%S")
        _print(f"    {version.version[:10]}  {saved_at}  {version.author}  {version.summary}")
    for run in session().desk.runs(limit=4):
        _print(f"    {run.run_id[-10:]}  {run.status:<9}  {run.function:<8}  {run.lines:>3} lines")

    _farewell(time.monotonic() - began, stays_up=not asked.down)
    if asked.down:
        rh.here.teardown()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m rhdesk.demo", description="The main job, on real input."
    )
    parser.add_argument("--down", action="store_true", help="end the cluster afterwards")
    return parser.parse_args()


def _farewell(took_s: float, *, stays_up: bool) -> None:
    _say(f"Done in {took_s:.0f} s. Names and runs stay on this machine:")
    _print("    rhdesk                 the terminal desk")
    _print("    rhdesk logs last       what the last run printed")
    if stays_up:
        _print("    rhdesk call '~/digits' alpha=0.001 epochs=3")
        _print("    rhdesk down here       end the cluster, which is still up")


def _table(results: list[dict[str, Any]]) -> None:
    _print("       alpha  accuracy  seconds")
    best = max(each["accuracy"] for each in results)
    for each in results:
        mark = "  best" if each["accuracy"] == best else ""
        bar = "#" * round((each["accuracy"] - 0.8) * 100)
        _print(
            f"    {each['alpha']:8g}    {each['accuracy']:.4f}  {each['seconds']:7.2f}  {bar}{mark}"
        )


def _took(began: float) -> None:
    _print(f"    {time.monotonic() - began:.1f} s")


def _say(text: str) -> None:
    _print(f"\n{text}")


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
