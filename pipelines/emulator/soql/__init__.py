"""SOQL: parse a query, look up its names, translate it to SQLite's SQL, and return its records in
pages. A query outside the grammar is a `SoqlError` with the position of the error.
"""
