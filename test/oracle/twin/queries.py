"""Random query blocks: FROM with joins of every kind, WHERE, grouping, windows, sub-queries."""

from collections import namedtuple

from .expressions import COMPARABLE, Expressions, Scope, Source
from .model import Column, DEAD_TEST, LIVE_TEST
from .values import constant, literal

Block = namedtuple('Block', 'text columns lockable')

APPENDED = (Column('id', 'int'), Column('grp', 'int'), Column('name', 'text'), Column('qty', 'int'))
TOO_MANY = 4000     # rows of a join, roughly; a sub-query may run once for each
SELECTIVE = {'id': 0.02, 'ref': 0.02, 'email': 0.02}
JOINS = ('JOIN', 'JOIN', 'JOIN', 'LEFT JOIN', 'LEFT JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN', 'CROSS JOIN')
KINDS = ('int', 'int', 'text', 'text', 'bigint', 'numeric', 'bool', 'date')
FRAMES = ('', '', ' ROWS BETWEEN 1 PRECEDING AND CURRENT ROW', ' ROWS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING',
          ' GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING', ' RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING')


def order_all(columns):
    """ORDER BY every output column: total, up to rows that are equal anyway."""
    return ' ORDER BY ' + ', '.join(str(number + 1) for number in range(len(columns)))


class Queries:
    """Generates query blocks over a schema; `seen` counts what was generated."""

    def __init__(self, rng, schema, seen, options):
        self.rng = rng
        self.schema = schema
        self.seen = seen
        self.version = options.version
        self.unmanaged = options.plain  # neither side has the extension
        self.ctes = []
        self.number = 0
        self.expressions = Expressions(rng, self, seen)

    def chance(self, probability):
        """True with this probability."""
        return self.rng.random() < probability

    def alias(self, prefix='s'):
        """A new name."""
        self.number += 1
        return f'{prefix}{self.number}'

    def relation(self, predicate=None):
        """A relation to read, by weight."""
        chosen = [item for item in self.schema.readable() if predicate is None or predicate(item)]
        return self.rng.choices(chosen, [item.weight for item in chosen])[0]

    # FROM

    def source(self, scope, depth, lateral=()):
        """One FROM item: its text, the Source, and how many rows it roughly has."""
        rng = self.rng
        form = rng.choices(
            ('relation', 'function', 'block', 'append', 'values', 'cte', 'series'),
            (60, 10, 10 if depth > 0 else 0, 8 if depth > 0 else 0, 4, 25 if self.ctes else 0, 2))[0]
        alias = self.alias()
        if form == 'relation':
            return self.table_source(alias)
        if form == 'function':
            return self.function_source(alias, Scope(list(lateral), scope.outer))
        if form == 'cte':
            name, columns = rng.choice(self.ctes)
            self.seen['from cte'] += 1
            return f'{name} AS {alias}', Source(alias, columns), 40
        if form == 'append':
            return self.append_source(alias, scope, depth)
        if form == 'values':
            rows = ', '.join(f'({rng.randint(1, 40)}, {rng.randrange(7)}, {constant(rng, "text")})'
                             for _ in range(rng.randint(1, 6)))
            self.seen['from values'] += 1
            columns = [Column('id', 'int'), Column('grp', 'int'), Column('name', 'text')]
            return f'(VALUES {rows}) AS {alias} (id, grp, name)', Source(alias, columns), 5
        if form == 'series':
            columns = [Column('grp', 'int')]
            return f'generate_series(0, {rng.randint(2, 7)}) AS {alias} (grp)', Source(alias, columns), 6
        block = self.block(depth - 1, list(lateral) + scope.outer)
        text = block.text
        if self.chance(0.2):
            text += order_all(block.columns) + f' LIMIT {rng.randint(1, 30)}'
        elif self.chance(0.1):
            text += ' OFFSET 0'
        self.seen['from lateral block' if lateral else 'from block'] += 1
        word = 'LATERAL ' if lateral else ''
        return f'{word}({text}) AS {alias}', Source(alias, block.columns), 50

    def table_source(self, alias, relation=None):
        """A table, partition, view or materialized view."""
        relation = relation or self.relation()
        text = relation.name
        if relation.inherited and self.chance(0.3):
            text = f'ONLY {text}'
        text += f' AS {alias}'
        if relation.sampled and relation.kind in ('table', 'partition') and self.chance(0.04):
            text += f" TABLESAMPLE {self.rng.choice(('BERNOULLI', 'SYSTEM'))} (100)"
            self.seen['tablesample'] += 1
        self.seen[f'from {relation.kind}'] += 1
        source = Source(alias, relation.columns, relation, lockable=relation.lockable and relation.kind != 'matview')
        return text, source, relation.rows

    def function_source(self, alias, scope):
        """A set-returning function, with arguments from the items to its left if it is lateral."""
        function = self.rng.choice(self.schema.functions)
        arguments = []
        for domain in function.arguments:
            if scope.sources and self.chance(0.8):
                self.seen['from lateral function'] += 1
                arguments.append(self.expressions.value('int', scope, 0))
            else:
                arguments.append(literal(self.rng, Column(domain, 'int')))
        self.seen['from function'] += 1
        columns = list(function.columns)
        if len(columns) == 1:
            columns = [columns[0].renamed(alias)]     # a scalar result is named like its alias
        return f"{function.name}({', '.join(arguments)}) AS {alias}", Source(alias, columns), 30

    def append_source(self, alias, scope, depth):
        """UNION ALL of simple members, which the planner flattens into an append relation."""
        members = []
        for _ in range(self.rng.randint(2, 4)):
            text, source = self.member(scope, depth)
            where = ''
            if self.chance(0.3):
                where = ' WHERE ' + self.expressions.condition(Scope([source], scope.outer), 0)
            outputs = ', '.join(f'{source.alias}.{column.name}' for column in APPENDED)
            members.append(f'SELECT {outputs} FROM {text}{where}')
        self.seen['from flattened union all'] += 1
        return f"({' UNION ALL '.join(members)}) AS {alias}", Source(alias, list(APPENDED)), 100

    def member(self, scope, depth):
        """FROM of one member, and the source that has the columns of APPENDED: a table, function or join."""
        names = {column.name for column in APPENDED}
        inner = self.alias()
        if self.chance(0.15):
            function = self.rng.choice([item for item in self.schema.functions if len(item.columns) > 3])
            arguments = ', '.join('3' for _ in function.arguments)
            return f'{function.name}({arguments}) AS {inner}', Source(inner, function.columns)
        if self.chance(0.15) and depth > 0:
            member = Scope([], scope.outer)
            text, _ = self.joined(member, depth - 1, 2)
            for source in member.sources:
                if names <= {column.name for column in source.columns}:
                    return text, source
        text, source, _ = self.table_source(inner, self.relation(lambda item: item.has(*names)))
        return text, source

    def joined(self, scope, depth, number):
        """A left-deep join, now and then with a nested right side; fills scope.sources."""
        text, source, rows = self.source(scope, depth)
        scope.sources.append(source)
        while number > 1:
            number -= 1
            if number > 1 and self.chance(0.12):
                nested = Scope([], scope.outer)
                right, right_rows = self.joined(nested, depth, 2)
                right, added = f'({right})', nested.sources
                number -= 1
                self.seen['nested join'] += 1
                lateral = False
            else:
                lateral = self.chance(0.2)
                right, one, right_rows = self.source(scope, depth, scope.sources if lateral else ())
                added = [one]
                lateral = lateral and not one.relation
            text, rows = self.join(scope, text, rows, right, right_rows, added, lateral)
        return text, rows

    def join(self, scope, text, rows, right, right_rows, added, lateral):
        """Joins one more item to the text."""
        rng, expressions = self.rng, self.expressions
        if not lateral and self.chance(0.06):
            twins = [source for source in scope.sources if source.relation and source.relation.key == 'id'
                     and source.relation.kind in ('table', 'partition') and not source.relation.inherited]
            if twins:
                # A table joined with itself on its key, which 18 may remove.
                first = rng.choice(twins)
                right, other, right_rows = self.table_source(self.alias(), first.relation)
                word = rng.choice(('JOIN', 'JOIN', 'LEFT JOIN'))
                if word == 'LEFT JOIN':
                    self.mark_nullable([other])
                scope.sources.append(other)
                self.seen['self join'] += 1
                return f'{text} {word} {right} ON {first.alias}.id = {other.alias}.id', rows
        kind = rng.choice(('JOIN', 'LEFT JOIN', 'CROSS JOIN') if lateral else JOINS)
        equality = None
        if kind != 'CROSS JOIN':
            equality = expressions.equality(scope.sources, added)
            if equality is None or (kind != 'FULL JOIN' and self.chance(0.05)):
                equality, kind = 'true', 'JOIN' if kind in ('FULL JOIN', 'RIGHT JOIN') else kind
        selectivity = 1 if equality in (None, 'true') else 0.15
        if equality and any(f'.{name}' in equality for name in SELECTIVE):
            selectivity = 0.03
        if rows * right_rows * selectivity > TOO_MANY:
            keys, others = ([name for name, column in Scope(sources).references('int') if column.name in SELECTIVE]
                            for sources in (scope.sources, added))
            if keys and others and kind != 'CROSS JOIN':
                equality = f'{rng.choice(keys)} = {rng.choice(others)}'
                selectivity = 0.02
            else:
                kind, equality, selectivity = 'JOIN', f'{self.small(added)} AND {equality or "true"}', 0.05
        if kind in ('LEFT JOIN', 'FULL JOIN'):
            self.mark_nullable(added)
        if kind in ('RIGHT JOIN', 'FULL JOIN'):
            self.mark_nullable(scope.sources)
        scope.sources.extend(added)
        self.seen[('lateral ' if lateral else '') + kind.lower()] += 1
        if kind == 'CROSS JOIN':
            return f'{text} CROSS JOIN {right}', rows * right_rows
        if self.chance(0.2):
            equality += f' AND {expressions.condition(Scope(scope.sources, scope.outer), 0)}'
        elif kind == 'LEFT JOIN' and len(added) == 1 and self.chance(0.06) and self.managed(added[0]):
            # What a careful application writes itself; it comes to the same on both sides.
            equality += f' AND {self.live(added[0])}'
        return f'{text} {kind} {right} ON {equality}', max(rows, rows * right_rows * selectivity)

    @staticmethod
    def mark_nullable(sources):
        """Rows of these may be null-extended: no FOR UPDATE, no explicit marker test in WHERE."""
        for source in sources:
            source.nullable = True
            source.lockable = False

    def small(self, sources):
        """A condition that leaves few rows of some sources."""
        references = Scope(sources).references('int', 'bigint')
        if references:
            return f'{self.rng.choice(references)[0]} = {self.rng.randrange(7)}'
        return 'true'

    @staticmethod
    def managed(source):
        """Whether the source is a managed table itself."""
        return source.relation is not None and source.relation.managed

    def live(self, source):
        """The marker test that applications write by hand."""
        marker = source.relation.marker
        self.seen['explicit marker test'] += 1
        tests = [LIVE_TEST[marker.type]]
        if marker.type == 'boolean':
            tests += ['{} = false', '{} IS FALSE', '{} IS NOT TRUE']
        return self.rng.choice(tests).format(f'{source.alias}.{marker.name}')

    def from_clause(self, scope, depth):
        """FROM, and conditions that belong to a comma list."""
        number = self.rng.choices((1, 2, 3, 4), (35, 35, 20, 10) if depth > 0 else (70, 30, 0, 0))[0]
        self.seen[f'{number} way'] += 1
        if number > 1 and self.chance(0.15):
            parts, conditions, rows = [], [], 1
            for _ in range(number):
                text, source, count = self.source(scope, depth)
                condition = self.expressions.equality(scope.sources, [source]) if scope.sources else None
                if condition:
                    conditions.append(condition)
                    count *= 0.15
                if rows * count > TOO_MANY:
                    conditions.append(self.small([source]))
                rows *= count
                scope.sources.append(source)
                parts.append(text)
            self.seen['comma join'] += 1
            return ', '.join(parts), conditions
        text, _ = self.joined(scope, depth, number)
        return text, []

    # Blocks

    def block(self, depth, outer=(), want=None):
        """A query block; with want, its output columns have these types."""
        scope = Scope([], list(outer))
        text, conditions = self.from_clause(scope, depth)
        while self.chance(0.5 if len(conditions) < 2 else 0.1):
            conditions.append(self.expressions.condition(scope, min(depth, 1)))
        if outer and self.chance(0.5):
            correlation = self.expressions.equality(scope.outer, scope.sources)
            if correlation:
                conditions.append(correlation)
        if self.chance(0.06):
            candidates = [source for source in scope.sources if self.managed(source) and not source.nullable]
            if candidates:
                conditions.append(self.live(self.rng.choice(candidates)))
        if self.chance(0.02):
            conditions.append(self.whole_row_condition(scope))
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ''
        form = self.rng.choices((self.plain, self.grouped, self.distinct, self.distinct_on, self.windowed),
                                (55, 20, 8, 6, 11))[0]
        return form(scope, f'{text}{where}', want)

    def whole_row_condition(self, scope):
        """A condition on a whole row: it does not mention the marker column."""
        self.seen['whole row in condition'] += 1
        alias = self.rng.choice(scope.sources).alias
        return self.rng.choice((f'length({alias}::text) % 3 <> 0', f"to_jsonb({alias})::text NOT LIKE '%cy%'",
                                f'({alias} IS NOT NULL OR {alias} IS NULL OR true)', f'{alias} IS DISTINCT FROM NULL'))

    def outputs(self, scope, want, whole=False):
        """Select-list expressions as (text, Column)."""
        rng, result = self.rng, []
        kinds = want or [rng.choice(KINDS) for _ in range(rng.randint(1, 4))]
        for number, kind in enumerate(kinds):
            name = f'c{number + 1}'
            references = [(text, column) for source in scope.sources for text, column in source.of_type(kind)]
            if references and self.chance(0.7):
                text, column = rng.choice(references)
                result.append((text, Column(name, kind, column.domain or column.name)))
            else:
                result.append((self.expressions.value(kind, scope, 2), Column(name, kind, 'any')))
        if want:
            return result
        markers = [(f'{source.alias}.{column.name}', column) for source in scope.sources
                   for column in source.columns if column.marker]
        if markers and self.chance(0.25):
            text, column = rng.choice(markers)
            self.seen['marker in select list'] += 1
            result.append((text, column.renamed(f'c{len(result) + 1}')))
        if whole and self.chance(0.15):
            self.seen['whole row'] += 1
            source = rng.choice(scope.sources)
            form = rng.choice((source.alias, f'to_jsonb({source.alias})', f'{source.alias}::text'))
            result.append((form, Column(f'c{len(result) + 1}', 'row')))
        tables = [source.alias for source in scope.sources
                  if source.relation and source.relation.kind in ('table', 'partition')]
        if whole and tables and self.chance(0.05):
            self.seen['tableoid'] += 1
            result.append((f'{rng.choice(tables)}.tableoid::regclass::text', Column(f'c{len(result) + 1}', 'text')))
        return result

    @staticmethod
    def select(outputs, rest, word='SELECT'):
        """SELECT list FROM rest."""
        return f"{word} {', '.join(f'{text} AS {column.name}' for text, column in outputs)} FROM {rest}"

    def plain(self, scope, rest, want):
        """No grouping."""
        outputs = self.outputs(scope, want, whole=not scope.outer)
        lockable = [source.alias for source in scope.sources if source.lockable]
        return Block(self.select(outputs, rest), [column for _, column in outputs], lockable)

    def distinct(self, scope, rest, want):
        """SELECT DISTINCT."""
        outputs = self.outputs(scope, want)
        self.seen['distinct'] += 1
        return Block(self.select(outputs, rest, 'SELECT DISTINCT'), [column for _, column in outputs], [])

    def distinct_on(self, scope, rest, want):
        """DISTINCT ON, made deterministic by ordering on every output column."""
        outputs = self.outputs(scope, want)
        columns = [column for _, column in outputs]
        if '.' not in outputs[0][0]:    # a constant cannot be matched with ORDER BY 1
            return Block(self.select(outputs, rest, 'SELECT DISTINCT'), columns, [])
        self.seen['distinct on'] += 1
        text = self.select(outputs, rest, f'SELECT DISTINCT ON ({outputs[0][0]})')
        return Block(f'SELECT * FROM ({text}{order_all(columns)}) AS {self.alias()}', columns, [])

    def windowed(self, scope, rest, want):
        """Window functions over a total order: the whole rows of all sources."""
        rng = self.rng
        outputs = self.outputs(scope, want)
        rows = ', '.join(source.alias for source in scope.sources)
        partitions = scope.references(*COMPARABLE)
        partition = f'PARTITION BY {rng.choice(partitions)[0]} ' if partitions and self.chance(0.6) else ''
        direction = rng.choice(('', ' DESC'))
        over = f'({partition}ORDER BY {rows}{direction}{rng.choice(FRAMES)})'
        for number, (_, column) in enumerate(outputs):
            if column.type in COMPARABLE and (number == 0 or self.chance(0.4)):
                value = self.expressions.value(column.type, scope, 0)
                functions = [f'{rng.choice(("lag", "lead", "first_value", "last_value", "max"))}({value})']
                if column.type == 'bool':
                    functions = [f'bool_or({value})']
                if column.type == 'bigint':
                    functions = ['row_number()', 'rank()', 'dense_rank()', 'count(*)',
                                 f"sum({self.expressions.value('int', scope, 0)})"]
                if column.type == 'int' and self.chance(0.3):
                    functions = ['ntile(3)']
                outputs[number] = (f'{rng.choice(functions)} OVER {over}', Column(column.name, column.type, 'any'))
        self.seen['window'] += 1
        return Block(self.select(outputs, rest), [column for _, column in outputs], [])

    def grouped(self, scope, rest, want):
        """GROUP BY, grouping sets, HAVING, or an aggregate over everything."""
        rng = self.rng
        kinds = want or [rng.choice(KINDS) for _ in range(rng.randint(1, 4))]
        keys = [(text, column) for source in scope.sources for text, column in
                source.of_type(*COMPARABLE, 'timestamptz', 'timestamp', 'boolean', marker=not want)]
        keys = rng.sample(keys, min(len(keys), rng.choice((0, 1, 1, 2)))) if keys else []
        outputs = []
        for number, kind in enumerate(kinds):
            name = f'c{number + 1}'
            same = [(text, column) for text, column in keys if column.type == kind]
            if same and self.chance(0.5):
                text, column = rng.choice(same)
                outputs.append((text, Column(name, kind, column.domain or column.name)))
            else:
                outputs.append((self.aggregate(kind, scope), Column(name, kind, 'any')))
        if not want:
            for text, column in keys:
                outputs.append((text, column.renamed(f'c{len(outputs) + 1}')))
            if self.chance(0.2):
                outputs.append((self.ordered_aggregate(scope), Column(f'c{len(outputs) + 1}', 'row')))
        text = self.select(outputs, rest)
        self.seen['group by' if keys else 'aggregate'] += 1
        if keys:
            names = [name for name, _ in keys]
            sets = [', '.join(names)] * 6
            sets += [f"ROLLUP ({', '.join(names)})", f"CUBE ({', '.join(names)})",
                     f"GROUPING SETS (({', '.join(names)}), ({names[0]}), ())"]
            chosen = rng.choice(sets)
            if '(' in chosen:
                self.seen['grouping sets'] += 1
            text += f' GROUP BY {chosen}'
        if self.chance(0.25):
            self.seen['having'] += 1
            text += f' HAVING {rng.choice(("count(*) > 1", "count(*) < 9", "true", self.aggregate("bool", scope)))}'
        return Block(text, [column for _, column in outputs], [])

    def aggregate(self, kind, scope):
        """An aggregate of this type that does not depend on the order of its input."""
        rng, value = self.rng, self.expressions.value
        scope = Scope(scope.sources)    # with outer references alone it would belong to the outer query
        filtered = ''
        if self.chance(0.15):
            filtered = f' FILTER (WHERE {self.expressions.condition(scope, 0)})'
        if kind == 'bigint':
            source = rng.choice(scope.sources).alias
            forms = ('count(*)', f'count({source})', f"count({value('int', scope, 1)})",
                     f"count(DISTINCT {value('text', scope, 0)})", f"sum({value('int', scope, 1)})")
            return rng.choice(forms) + filtered
        if kind == 'numeric':
            return f"(avg({value('int', scope, 0)}){filtered})::numeric(12,2)"
        if kind == 'bool':
            return f'{rng.choice(("bool_and", "bool_or", "every"))}({self.expressions.condition(scope, 0)}){filtered}'
        return f"{rng.choice(('min', 'max'))}({value(kind, scope, 1)}){filtered}"

    def ordered_aggregate(self, scope):
        """An aggregate that collects its input in order."""
        self.seen['ordered aggregate'] += 1
        kind = self.rng.choice(('int', 'text'))
        text = self.expressions.value(kind, Scope(scope.sources), 0)
        if kind == 'text' and self.chance(0.5):
            return f"string_agg({text}, ',' ORDER BY {text})"
        if kind == 'int' and self.chance(0.3):
            return f'percentile_disc(0.5) WITHIN GROUP (ORDER BY {text})'
        return f"{self.rng.choice(('array_agg', 'jsonb_agg'))}({text} ORDER BY {text})"

    # Sub-queries in expressions

    def scalar(self, scope, kind):
        """A scalar sub-query: an aggregate, or the first row of a total order."""
        inner = scope.inner()
        text, source, _ = self.table_source(self.alias())
        inner.sources.append(source)
        conditions = []
        equality = self.expressions.equality(inner.outer, inner.sources) if inner.outer else None
        if equality and self.chance(0.8):
            conditions.append(equality)
        if self.chance(0.3):
            conditions.append(self.expressions.condition(inner, 0))
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ''
        self.seen['scalar sub-query'] += 1
        if kind != 'bigint' and self.chance(0.4):
            return f'(SELECT {self.expressions.value(kind, inner, 0)} FROM {text}{where} ORDER BY 1 LIMIT 1)'
        return f'(SELECT {self.aggregate(kind, inner)} FROM {text}{where})'

    def sublink(self, scope):
        """EXISTS, IN, NOT IN, ANY, ALL, as semi- and anti-joins or as sub-plans."""
        rng = self.rng
        form = rng.choice(('EXISTS', 'EXISTS', 'NOT EXISTS', 'IN', 'NOT IN', 'ANY', 'ALL', 'ROW'))
        outer = scope.sources + scope.outer
        self.seen[f'sublink {form}'] += 1
        if form in ('EXISTS', 'NOT EXISTS'):
            return f'{form} ({self.block(0, outer).text})'
        if form == 'ROW':
            block = self.block(0, outer if self.chance(0.2) else (), ['int', 'text'])
            values = f"({self.expressions.value('int', scope, 0)}, {self.expressions.value('text', scope, 0)})"
            return f"{values} {rng.choice(('IN', 'NOT IN'))} ({block.text})"
        kind = rng.choice(('int', 'int', 'text'))
        block = self.block(0, outer if self.chance(0.3) else (), [kind])
        value = self.expressions.value(kind, scope, 0)
        if form in ('IN', 'NOT IN'):
            return f'{value} {form} ({block.text})'
        return f"{value} {rng.choice(('>=', '<=', '<>', '='))} {form} ({block.text})"

    def mention_outside(self):
        """A condition on the marker as a derived table, view or function shows it.

        The level that names the table does not mention its marker, so only live rows arrive.
        """
        rng = self.rng
        self.seen['marker test outside'] += 1
        alias = self.alias()
        relation = self.relation(
            lambda item: item.managed and item.kind in ('table', 'partition') or item.name == 'v_plain')
        marker = relation.marker
        barrier = rng.choice(('', '', ' OFFSET 0'))
        text = f'(SELECT * FROM {relation.name}{barrier}) AS {alias}'
        if relation.kind == 'view':
            text = f'{relation.name} AS {alias}'
        functions = [item for item in self.schema.functions if item.name in ('f_all', 'f_rows')]
        if self.chance(0.2):
            function = rng.choice(functions)
            marker = next(column for column in function.columns if column.marker)
            text = f"{function.name}({', '.join('3' for _ in function.arguments)}) AS {alias}"
        dead = DEAD_TEST[marker.type].format(f'{alias}.{marker.name}')
        return f'SELECT {alias}.id, {alias}.grp FROM {text} WHERE {dead} OR {alias}.grp = {rng.randrange(7)}'
