"""The org emulator: a separate process that speaks the HTTP of a Salesforce org, for tests and
demos.

It imports nothing from the rest of Person Sync, and nothing imports it. The two meet only over
HTTP. Where the behaviour of a real org is unknown, the emulator does what is harder for a client.

Start with `server.py` (the process) and `app.py` (which part handles a request). `README.md` lists
each behaviour and how sure we are of it.

    transport/   HTTP, faults and the control API
    auth/        logins
    rest/        REST
    bulk/        Bulk API 2.0
    bulk_v1/     Bulk API 1.0
    soql/        queries
    org/         what an org holds

Served over http, or https with `--tls`:

    the version list
    OAuth: client credentials, JWT bearer, password, revoke, introspect, userinfo, identity URLs
    SOAP: login, logout, getUserInfo, getServerTimestamp
    REST: records, collections, composites, queries, searches, describes, layouts, changed records,
        limits
    Bulk API 2.0 ingest and query jobs, Bulk API 1.0 jobs

Responses are JSON, or XML where the client accepts only that. Request bodies are JSON, except for
Bulk and SOAP.

Not served (404, or a SOAP fault):

    refresh tokens and browser logins
    the Metadata, Tooling, Streaming, Analytics, UI and Apex APIs
    records over SOAP, base64 bodies, setting passwords, zipped Bulk 1.0 batches, composite graphs
"""
