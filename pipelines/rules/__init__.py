"""Pure rules: frames and values in, frames and values out. No clock, no network, no settings.

They are applied in this order: clean and validate, assign owners, deduplicate, decide on matches,
partition, make records.
"""
