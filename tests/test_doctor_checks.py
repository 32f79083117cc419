"""The list of the doctor's checks."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from flask_ssr_session import doctor
from flask_ssr_session.doctor.run import CHECKS


def test_every_check_runs() -> None:
    names = [path.stem for path in Path(doctor.__file__).parent.glob("check_*.py")]
    modules = [import_module(f"{doctor.__name__}.{name}") for name in names]
    checks = {
        function
        for module in modules
        for name, function in vars(module).items()
        if name.startswith("check_") and function.__module__ == module.__name__
    }

    assert checks == set(CHECKS)
    assert len(CHECKS) == len(checks)
