"""The grammar of SOQL, and the functions that this org supports."""

from __future__ import annotations

# AND next to OR needs parentheses, and so does NOT next to either. The org rejects both
# (`a AND NOT (b)` is "unexpected token: 'NOT'", seen on a live org: soql-parser-js issue 201).
RESERVED = (
    "select|from|where|and|or|not|in|like|having|null|using|with|typeof|asc|desc|nulls|includes"
    "|excludes"
)
# Keywords in their own places only, not names of fields: an object may well be called Group.
KEYWORDS = (
    "SELECT FROM USING SCOPE WHERE GROUP BY HAVING AND OR LIKE IN ORDER NULLS LIMIT OFFSET FOR "
    "VIEW REFERENCE UPDATE ALL ROWS"
)
KEPT_KEYWORDS = "NOT ASC DESC FIRST LAST"


def _keyword_terminals() -> str:
    """Return each keyword as a whole word: INCLUDES does not begin with IN. lark drops names with
    `_`.
    """
    named = [(f"_{keyword}", keyword) for keyword in KEYWORDS.split()]
    named += [(keyword, keyword) for keyword in KEPT_KEYWORDS.split()]
    return "\n".join(f"{name}.1: /{keyword}\\b/i" for name, keyword in named)


GRAMMAR = r"""
start: query
query: _SELECT items _FROM NAME [NAME] [scope] [where] [group] [order] [limit] [offset] \
       [_read_for] [all_rows]

items: item ("," item)*
?item: operand [NAME] -> selected
     | FUNCTION "(" ")" -> count_all
     | LPAR query ")" -> child
operand: path
       | FUNCTION "(" path ")"
path: NAME ("." NAME)*

scope: _USING _SCOPE NAME
where: _WHERE condition
group: _GROUP _BY operand ("," operand)* [having]
having: _HAVING condition
?condition: simple
          | NOT simple -> negated
          | simple (_AND further)+ -> all_of
          | simple (_OR further)+ -> any_of
?further: simple
        | NOT simple -> misplaced
?simple: "(" condition ")"
       | operand OPERATOR value -> compared
       | operand _LIKE value -> like
       | operand _IN "(" value ("," value)* ")" -> within
       | operand NOT _IN "(" value ("," value)* ")" -> not_within
       | operand _IN "(" query ")" -> semi_join
       | operand NOT _IN "(" query ")" -> anti_join

order: _ORDER _BY ordering ("," ordering)*
ordering: operand [ASC | DESC] [_NULLS (FIRST | LAST)]
limit: _LIMIT INTEGER
offset: _OFFSET INTEGER
_read_for: _FOR (_VIEW | _REFERENCE | _UPDATE)
all_rows: _ALL _ROWS

value: STRING -> string
     | MOMENT -> moment
     | DAY -> day
     | INTEGER -> number
     | DECIMAL -> number
     | WORD -> constant

LPAR: "("
OPERATOR: "!=" | "<>" | "<=" | ">=" | "=" | "<" | ">"
STRING: /'(?:[^'\\]|\\.)*'/s
MOMENT.3: /\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})/i
DAY.2: /\d{4}-\d{2}-\d{2}/
DECIMAL.1: /[+-]?(\d+\.\d*|\.\d+)/
INTEGER: /[+-]?\d+/
WORD: /[a-z_][a-z0-9_]*(:\d+)?/i
FUNCTION.2: /(?!(?:%RESERVED%|by)\b)[a-z_][a-z0-9_]*(?=\s*\()/i
NAME: /(?!(?:%RESERVED%)\b)[a-z_][a-z0-9_]*/i
%ignore /\s+/
%KEYWORDS%
""".replace("%RESERVED%", RESERVED).replace("%KEYWORDS%", _keyword_terminals())

AGGREGATES = frozenset({"count", "count_distinct", "min", "max", "sum", "avg"})
DATE_FUNCTIONS = frozenset(
    {
        "calendar_year",
        "calendar_quarter",
        "calendar_month",
        "day_in_month",
        "day_in_week",
        "day_in_year",
        "day_only",
        "hour_in_day",
        "week_in_month",
        "week_in_year",
    }
)
FUNCTIONS = AGGREGATES | DATE_FUNCTIONS | {"tolabel"}
FIELD_SETS = frozenset({"all", "standard", "custom"})
# The error message distinguishes what a real org supports from what no org supports.
NOT_SERVED = frozenset(
    {
        "typeof",
        "with",
        "format",
        "convertcurrency",
        "converttimezone",
        "distance",
        "geolocation",
        "grouping",
        "rollup",
        "cube",
        "fiscal_year",
        "fiscal_quarter",
        "fiscal_month",
        "includes",
        "excludes",
    }
)
