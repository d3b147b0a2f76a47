"""The org emulator: a process of its own that speaks a Salesforce org's HTTP, stricter and nastier.

It imports nothing of the rest of Person Sync and nothing imports it: the two meet only over HTTP.
Read `server.py` for the process, `wire.py` for the faults that strike requests, `app.py` for their
answers, `org.py` for what an org holds. The facts behind each behaviour are numbered in the fact
sheet's section 13; tests carry the same numbers.

Served, over http and https (`--tls`), to any client: the version list; OAuth (client credentials,
JWT bearer, password, revoke, introspect, userinfo, identity URLs); SOAP login, logout, getUserInfo
and getServerTimestamp; REST on records, collections, composites, queries, searches, describes,
layouts, updated and deleted, limits; Bulk API 2.0 ingest and query jobs; Bulk API 1.0 jobs in CSV,
XML and JSON. Answers are JSON, or XML to a client that asks for it; bodies come in as JSON (Bulk
and SOAP apart).

Not served, and refused as an org refuses what it does not have (404; SOAP by a fault): refresh
tokens and every login that needs a browser, the metadata, tooling, streaming, analytics, UI and
Apex APIs, records over SOAP, base64 bodies, setting passwords, zipped Bulk 1.0 batches, and
composite graphs.
"""
