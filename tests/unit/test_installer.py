"""What uv says when it fails, in the words of several of its versions, made into our errors."""

from __future__ import annotations

import pytest

from rhdesk.errors import BadRequirement, RhdeskError, SetupFailed, StoreUnwritable
from rhdesk_servlet.installer import environ, explain, news_in, unreached

DRAWN = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because nosuch was not found in the package registry and you require
      nosuch==1, we can conclude that your requirements are unsatisfiable.
"""  # noqa: RUF001  as uv draws it
CONFLICT = """\
error: No solution found when resolving dependencies
  cause: Because big==2 depends on numpy>=2 and you require big==2, we can conclude that you \
require numpy>=2. And because you require numpy<2, we can conclude that your requirements are \
unsatisfiable.
hint: something long
"""
FULL = "error: Failed to install: x\n  cause: No space left on device (os error 28)"
ODD = "error: Something new\n  cause: nobody has seen before at https://me:hunter2@host.example/x"


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (
            DRAWN,
            BadRequirement,
            "no package is called 'nosuch', asked for as 'nosuch==1'; look at",
        ),
        (
            CONFLICT,
            BadRequirement,
            "'big==2', 'numpy<2' cannot be installed together: big==2 depends on numpy>=2 and",
        ),
        (
            FULL,
            StoreUnwritable,
            "packages could not be stored: No space left on device; make room",
        ),
        (ODD, SetupFailed, "the packages could not be installed: Something new: nobody has seen"),
    ],
)
def test_a_failure_is_explained_in_one_line(
    said: str, kind: type[RhdeskError], message: str
) -> None:
    asked = ["nosuch==1", "big==2", "numpy<2", "numpyro"]
    error = explain(said.splitlines(), asked=asked, own=["ray==2"])
    assert type(error) is kind
    assert str(error).startswith(message)
    assert "unsatisfiable" not in str(error)
    assert "hunter2" not in str(error)
    assert "\n" not in str(error)


def test_no_answer_names_the_cause_and_what_is_not_cached() -> None:
    online = [
        "error: Request failed after 3 retries in 10.3s",
        "  cause: Failed to fetch: https://host.example/simple/six/",
        "  cause: client error (Connect)",
        "  cause: dns error",
    ]
    offline = ["  cause: Because six was not found in the cache and you require six"]
    assert str(unreached(online, offline, built=2)) == (
        "the package index could not be reached (dns error); not cached here: six; "
        "what is built already (2 environments) still works"
    )


def test_only_what_uv_is_doing_is_news() -> None:
    assert news_in(" Downloaded numpy") == "Downloaded numpy"
    assert news_in("   Building lib @ file:///secret/place") == "Building lib"
    assert news_in("six==1.16.0") == ""
    assert news_in(" + six==1.16.0") == ""


def test_a_child_does_not_inherit_what_is_about_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RHDESK_TOKEN", "hunter2")
    monkeypatch.setenv("VIRTUAL_ENV", "/elsewhere")
    monkeypatch.setenv("UV_CACHE_DIR", "/cache")
    assert not {"RHDESK_TOKEN", "VIRTUAL_ENV", "PYTHONPATH"} & environ().keys()
    assert environ()["UV_CACHE_DIR"] == "/cache"
