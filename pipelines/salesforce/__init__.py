"""The room that speaks HTTP with the org and never SQL.

In the order of a run: `session` lets us in, `lookups` reads what the org already holds, `bulk`
and `collections` carry leads there, `errors` says what an answer means in our own words.
"""
