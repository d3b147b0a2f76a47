"""The keys by which duplicate rules find candidates; the store indexes them."""

from __future__ import annotations

import string

NOT_DIGITS = bytes(set(range(256)) - set(string.digits.encode()))


def fold(value: object) -> str:
    """Return a text as names and e-mails are compared; "" for anything else."""
    return value.casefold() if isinstance(value, str) else ""


def digits_of(phone: str) -> str:
    """Return the digits of a phone number."""
    if phone.isascii():
        return phone.encode().translate(None, NOT_DIGITS).decode()
    return "".join(filter(str.isdigit, phone))


def email_match_key(email: object, last_name: object) -> str | None:
    """Return a key of e-mail and last name, or None where one is missing."""
    if email and last_name and isinstance(email, str) and isinstance(last_name, str):
        return email.casefold() + "\n" + last_name.casefold()
    return None


def phone_match_key(phone: object, first_name: object, last_name: object) -> str | None:
    """Return a key of phone and last name; None where one, or the first name, is missing."""
    if not (phone and last_name and isinstance(phone, str) and isinstance(last_name, str)):
        return None
    if not first_name or not isinstance(first_name, str):
        return None
    digits = digits_of(phone)
    return digits + "\n" + last_name.casefold() if digits else None
