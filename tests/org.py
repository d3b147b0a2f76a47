"""The org of the tests, as the emulator reads it: `org.toml`, and what some tests add to it."""

from __future__ import annotations

from pathlib import Path

ORG = Path(__file__).with_name("org.toml").read_text(encoding="utf-8")
CONSUMER_SECRET = "test-secret"
PERSON_ID_FIELD = """
[[field]]
object = "Lead"
name = "Person_Id__c"
type = "string"
length = 64
external_id = true
unique = true
case_sensitive = true
"""
