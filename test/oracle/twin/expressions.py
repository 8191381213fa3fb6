"""Random scalar expressions and conditions over the sources of a query level.

Rules that keep both sides comparable:
- no condition mentions a marker column, since that would put the query in charge of its rows;
- nothing depends on the clock, on ctid or xmin, on the physical order of rows, or on floats;
- nothing fails on a live row, but `100 / poison` does on deleted ones.
"""

from dataclasses import dataclass, field

from .values import constant, literal

COMPARABLE = ('int', 'bigint', 'text', 'numeric', 'date', 'bool')


@dataclass
class Source:
    """One item of FROM: its alias and what it shows."""

    alias: str
    columns: list
    relation: object = None     # the table or view behind it, if it is one
    nullable: bool = False      # on the optional side of an outer join
    lockable: bool = False

    def of_type(self, *types, marker=False):
        """References to the columns of these types."""
        return [(f'{self.alias}.{column.name}', column) for column in self.columns
                if column.type in types and (marker or not column.marker)]


@dataclass
class Scope:
    """The sources of a query level, and those of the levels around it."""

    sources: list = field(default_factory=list)
    outer: list = field(default_factory=list)

    def references(self, *types, outer=False):
        """References to columns of these types, of this level or of the outer ones."""
        sources = self.outer if outer else self.sources
        return [reference for source in sources for reference in source.of_type(*types)]

    def inner(self):
        """A scope for a sub-query: what is visible here becomes outer there."""
        return Scope([], self.sources + self.outer)


class Expressions:
    """Generates expressions; sub-queries come from the `queries` object that owns it."""

    def __init__(self, rng, queries, seen):
        self.rng = rng
        self.queries = queries
        self.seen = seen        # counts the features that were generated

    def chance(self, probability):
        """True with this probability."""
        return self.rng.random() < probability

    # Values

    def value(self, kind, scope, depth=1):
        """An expression of a type."""
        rng = self.rng
        references = scope.references(kind)
        if scope.outer and self.chance(0.15):
            references = scope.references(kind, outer=True) or references
        if references and (depth <= 0 or self.chance(0.6)):
            return rng.choice(references)[0]
        if depth <= 0:
            return constant(rng, kind)
        makers = {
            'int': self.integer, 'bigint': self.bigint, 'text': self.text, 'numeric': self.numeric,
            'bool': self.boolean,
        }
        if kind in makers:
            return makers[kind](scope, depth - 1)
        return rng.choice(references)[0] if references else constant(rng, kind)

    def integer(self, scope, depth):
        """An int expression; kept small by construction."""
        rng = self.rng
        form = rng.randrange(10)
        if form == 0:
            return f"({self.value('int', scope, depth)} % 5)"
        if form == 1:
            return f"({self.value('int', scope, 0)} + {rng.randint(1, 3)})"
        if form == 2:
            return f"coalesce({self.value('int', scope, depth)}, {rng.randint(0, 3)})"
        if form == 3:
            return f"length({self.value('text', scope, depth)})"
        if form == 4:
            return (f"CASE WHEN {self.condition(scope, depth)} THEN {self.value('int', scope, depth)}"
                    f" ELSE {self.value('int', scope, 0)} END")
        if form == 5:
            return f"greatest({self.value('int', scope, depth)}, {self.value('int', scope, 0)})"
        if form == 6:
            references = [text for text, column in scope.references('int') if column.name == 'poison']
            if references:
                self.seen['100 / poison'] += 1
                return f'(100 / {rng.choice(references)})'
        if form == 7 and depth >= 0 and self.chance(0.5):
            return self.queries.scalar(scope, 'int')
        if form == 8:
            references = scope.references('int[]')
            if references:
                return f'cardinality({rng.choice(references)[0]})'
        return f"nullif({self.value('int', scope, 0)}, {rng.randint(0, 6)})"

    def bigint(self, scope, depth):
        """A bigint expression; often a count from a sub-query or a function."""
        functions = [function for function in self.queries.schema.scalars if function.returns == 'bigint']
        if functions and self.chance(0.4):
            self.seen['scalar function'] += 1
            return f"{self.rng.choice(functions).name}({self.value('int', scope, 0)})"
        if self.chance(0.5):
            return self.queries.scalar(scope, 'bigint')
        return f"({self.value('int', scope, depth)})::bigint"

    def text(self, scope, depth):
        """A text expression."""
        form = self.rng.randrange(7)
        if form == 0:
            return f"upper({self.value('text', scope, depth)})"
        if form == 1:
            return f"({self.value('text', scope, 0)} || {self.value('text', scope, 0)})"
        if form == 2:
            return f"left({self.value('text', scope, depth)}, 2)"
        if form == 3:
            return f"({self.value('int', scope, depth)})::text"
        if form == 4:
            references = scope.references('jsonb')
            if references:
                return f"({self.rng.choice(references)[0]} ->> 'b')"
        if form == 5 and self.chance(0.5):
            functions = [function for function in self.queries.schema.scalars if function.returns == 'text']
            if functions:
                self.seen['scalar function'] += 1
                return f"{self.rng.choice(functions).name}({self.value('int', scope, 0)})"
        return f"coalesce({self.value('text', scope, 0)}, 'none')"

    def numeric(self, scope, depth):
        """A numeric expression with two decimals."""
        return f"(({self.value('int', scope, depth)})::numeric(8,2) / 4)::numeric(8,2)"

    def boolean(self, scope, depth):
        """A condition used as a value."""
        return f'({self.condition(scope, depth)})'

    # Conditions

    def condition(self, scope, depth=1):
        """A boolean expression that tends to hold for a good part of the rows."""
        rng = self.rng
        if depth > 0 and self.chance(0.25):
            operator = rng.choice(('AND', 'OR', 'OR'))
            return f'({self.condition(scope, depth - 1)} {operator} {self.condition(scope, depth - 1)})'
        if depth > 0 and self.chance(0.08):
            return f'NOT ({self.condition(scope, depth - 1)})'
        if depth > 0 and self.chance(0.22):
            return self.queries.sublink(scope)
        references = scope.references(*COMPARABLE, 'int[]', 'jsonb')
        if not references or self.chance(0.1):
            kind = rng.choice(('int', 'text'))
            return self.comparison(self.value(kind, scope, depth), kind, scope, depth)
        reference, column = rng.choice(references)
        return self.on_column(reference, column, scope, depth)

    def on_column(self, reference, column, scope, depth):
        """A condition on one column."""
        rng, form = self.rng, self.rng.randrange(10)
        if column.name == 'poison':
            self.seen['100 / poison'] += 1
            return f'100 / {reference} >= {rng.randint(10, 60)}'
        if column.type == 'jsonb':
            return rng.choice((
                f"{reference} @> '{{\"a\": {rng.randrange(5)}}}'", f"({reference} ->> 'a')::int > {rng.randrange(3)}",
                f"{reference} ? 'a'"))
        if column.type == 'int[]':
            return rng.choice((f'{rng.randrange(5)} = ANY ({reference})', f"{reference} @> '{{{rng.randrange(5)}}}'",
                               f"{reference} && '{{1,2}}'"))
        if column.type == 'bool':
            return rng.choice((reference, f'NOT {reference}', f'{reference} IS NOT TRUE', f'{reference} IS NULL'))
        if form == 0:
            return f"{reference} IS {rng.choice(('NOT NULL', 'NOT NULL', 'NULL'))}"
        if form == 1:
            items = ', '.join(literal(rng, column) for _ in range(rng.randint(2, 4)))
            return f"{reference} {rng.choice(('IN', 'IN', 'NOT IN'))} ({items})"
        if form == 2 and column.type in ('int', 'numeric', 'date'):
            low, high = sorted((literal(rng, column), literal(rng, column)))
            return f'{reference} BETWEEN {low} AND {high}'
        if form == 3 and column.type == 'text':
            return f"{reference} LIKE '{rng.choice(('a%', '%e%', 'm1%', 'A%', '_e%'))}'"
        if form == 4:
            return f'{reference} IS DISTINCT FROM {literal(rng, column)}'
        if form == 5:
            return f'{reference} = {literal(rng, column)}'
        return self.comparison(reference, column.type, scope, depth, column)

    def comparison(self, text, kind, scope, depth, column=None):
        """text OP something of the same type."""
        operator = self.rng.choice(('=', '<', '>', '<=', '>=', '<>', '>', '<'))
        if column is not None and self.chance(0.6):
            return f'{text} {operator} {literal(self.rng, column)}'
        return f'{text} {operator} {self.value(kind, scope, max(depth, 0))}'

    def equality(self, left, right):
        """An equality between two lists of sources, preferably on columns that have values in common."""
        pairs = []
        for left_source in left:
            for right_source in right:
                for name, column in left_source.of_type('int', 'text', 'date', 'bigint'):
                    for other_name, other in right_source.of_type(column.type):
                        weight = 3 if (column.domain or column.name) == (other.domain or other.name) else 1
                        if column.type == 'int':
                            weight *= 2
                        if {column.name, other.name} == {'id', 'ref'}:
                            weight *= 6
                        pairs += [f'{name} = {other_name}'] * weight
        return self.rng.choice(pairs) if pairs else None
