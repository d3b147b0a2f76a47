"""What an org holds, and how records are validated and saved: the org file, schema, users, rules,
records and sessions, kept in one SQLite database. Nothing in this package knows HTTP, and it
imports no other package of the emulator.
"""
