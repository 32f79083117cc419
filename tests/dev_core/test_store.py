from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from flask_ssr_session.dev_core.store import Store


def role_count(store: Store) -> int:
    with store.transaction() as db:
        (count,) = db.execute("SELECT count(*) FROM roles").fetchone()
    return int(count)


def insert_and_fail(store: Store) -> None:
    with store.transaction() as db:
        db.execute("INSERT INTO roles VALUES ('undone')")
        raise LookupError


def insert_inside_and_fail(store: Store) -> None:
    with store.transaction():
        with store.transaction() as db:
            db.execute("INSERT INTO roles VALUES ('undone')")
        raise LookupError


@pytest.mark.parametrize("work", [insert_and_fail, insert_inside_and_fail])
def test_transaction_is_undone_by_an_error_with_all_in_it(work: Callable[[Store], None]) -> None:
    store = Store(None)
    with pytest.raises(LookupError):
        work(store)
    assert role_count(store) == 0


def test_threads_take_turns() -> None:
    store = Store(None)

    def add(first: int) -> None:
        for number in range(first, first + 50):
            with store.transaction() as db:
                before = role_count(store)
                db.execute("INSERT INTO roles VALUES (?)", (str(number),))
                assert role_count(store) == before + 1

    threads = [threading.Thread(target=add, args=(first,)) for first in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert role_count(store) == 200


def test_new_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    Store(tmp_path / "core.db").close()
    assert stat.S_IMODE((tmp_path / "core.db").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "statement",
    ["PRAGMA user_version = 99", "CREATE TABLE someone_elses (a)"],
    ids=["other version", "other program"],
)
def test_file_of_another_program_is_refused(tmp_path: Path, statement: str) -> None:
    file = tmp_path / "other.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(statement)
        connection.commit()
    with pytest.raises(ValueError, match=r"other\.db"):
        Store(file)
