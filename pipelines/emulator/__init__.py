"""The org emulator: a process of its own that speaks a Salesforce org's HTTP, stricter and nastier.

It imports nothing of the rest of Person Sync and nothing imports it: the two meet only over HTTP.
Read `server.py` for the process, `app.py` for the wire, `org.py` for what an org holds. The facts
behind each behaviour are numbered in the fact sheet's section 13; tests carry the same numbers.
"""
