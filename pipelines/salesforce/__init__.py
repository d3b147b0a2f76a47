"""HTTP with the org, never SQL.

`session` logs in (with `login`, `transport`, `hosts`) and sends requests. `lookups`, `lead_owners`,
`records` and `soql` read; `query_jobs` reads in bulk. `ingest_jobs` and `sobject_collections`
write. `errors` and `login_errors` translate what goes wrong into `pipelines/errors.py`.
"""
