"""Sessions: who is logged in, through which app, and when each was last used."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from pipelines.emulator.org.store import Store

# A session's use is stored only after this share of its time, to save writes.
SAVE_AFTER_SHARE = 0.05


@dataclass(frozen=True)
class Session:
    """An open session. Instants are seconds since 1970; `used_at` may lag a little behind."""

    token: str
    user_id: str
    consumer_key: str
    opened_at: float
    used_at: float


class Sessions:
    """The sessions of one org; a session ends after `minutes` without use."""

    def __init__(self, store: Store, org_id: str, minutes: float) -> None:
        self._store = store
        self._org_id = org_id
        self.seconds = minutes * 60

    def open(self, user_id: str, consumer_key: str = "") -> str:
        """Open a session for this user and return its bearer token."""
        token, now = f"{self._org_id[:15]}!AQ{secrets.token_hex(24)}", time.time()
        self._store.run(
            "insert into emulator_logins values (?, ?, ?, ?, ?)",
            (token, user_id, consumer_key, now, now),
        )
        return token

    def find(self, token: str) -> Session | None:
        """Return the session of a token, or None where it is unknown or over; it is not
        prolonged.
        """
        found = self._store.row(
            "select token, user_id, consumer_key, opened_at, used_at"
            " from emulator_logins where token = ?",
            (token,),
        )
        if found is None:
            return None
        token, user_id, key = map(str, found[:3])
        opened_at, used_at = (float(instant or 0) for instant in found[3:])
        session = Session(token, user_id, key, opened_at, used_at)
        return session if time.time() - session.used_at <= self.seconds else None

    def use(self, token: str) -> Session | None:
        """Return the session of a token as `find` does, and prolong it."""
        session = self.find(token)
        now = time.time()
        if session is not None and now - session.used_at > self.seconds * SAVE_AFTER_SHARE:
            self._store.run("update emulator_logins set used_at = ? where token = ?", (now, token))
        return session

    def end(self, token: str) -> bool:
        """End one session; return False where there was none."""
        return self._store.run("delete from emulator_logins where token = ?", (token,)) > 0
