"""Pure rules: persons → duplicates → owners → leads. No clock, no network, no settings."""
