"""Random SELECT items: a query in one of the forms in which clients send one."""

import re

from .asking import Asking
from .expressions import Scope
from .model import Column, Item, Step
from .queries import KINDS, order_all

# A comparison with a small number, which PREPARE may turn into a parameter.
PARAMETER = re.compile(r'(?<!deleted_ms)( (?:=|<>|<|>|<=|>=)) (\d+)(?![\d.:])')

OPAQUE = re.compile(r'\b[fs]_[a-z]+\(')

# What EXPLAIN can take.
EXPLAINED = ('SELECT', 'WITH', 'DELETE', 'UPDATE', 'INSERT', 'MERGE', '(')

SETTINGS = (
    ('enable_hashjoin', ('off',)), ('enable_nestloop', ('off',)), ('enable_mergejoin', ('off',)),
    ('enable_seqscan', ('off',)), ('enable_indexscan', ('off',)), ('enable_bitmapscan', ('off',)),
    ('enable_indexonlyscan', ('off',)), ('enable_hashagg', ('off',)), ('enable_sort', ('off',)),
    ('enable_material', ('off',)), ('enable_memoize', ('off',)), ('enable_partition_pruning', ('off',)),
    ('enable_partitionwise_join', ('on',)), ('enable_partitionwise_aggregate', ('on',)),
    ('constraint_exclusion', ('on', 'off')), ('from_collapse_limit', ('1', '2')), ('join_collapse_limit', ('1', '2')),
    ('geqo_threshold', ('2', '3')), ('plan_cache_mode', ('force_generic_plan', 'force_custom_plan')),
    ('cursor_tuple_fraction', ('1.0', '0.01')), ('work_mem', ('"64kB"',)), ('jit', ('on',)),
)


def settings(rng, version, seen, parallel=0.08):
    """Planner settings of one item; now and then parallel plans are forced."""
    chosen = []
    if rng.random() < 0.5:
        for name, values in rng.sample(SETTINGS, rng.randint(1, 3)):
            seen['planner setting'] += 1
            chosen.append(f'SET LOCAL {name} = {rng.choice(values)}')
    if rng.random() < parallel:
        seen['parallel'] += 1
        force = 'debug_parallel_query' if version >= 160000 else 'force_parallel_mode'
        chosen += ['SET LOCAL parallel_setup_cost = 0', 'SET LOCAL parallel_tuple_cost = 0',
                   'SET LOCAL min_parallel_table_scan_size = 0', 'SET LOCAL min_parallel_index_scan_size = 0']
        if rng.random() < 0.6:
            chosen.append(f'SET LOCAL {force} = on')
    return chosen


def unprivileged(steps):
    """Whether the role with few privileges may run the steps.

    Whether a function that it may not run to its end is called at all depends on the plan.
    """
    return not any(step.reference or step.noise or OPAQUE.search(step.sql) for step in steps)


class Selects(Asking):
    """Generates SELECT items."""

    def item(self):
        """One item."""
        forms = ((self.simple, 46), (self.set_operation, 10), (self.with_clause, 12), (self.recursive, 4),
                 (self.whole_table, 5), (self.prepared, 8), (self.cursor, 6), (self.copy, 3),
                 (self.outside, 3), (self.create_as, 2), (self.appended, 5),
                 (self.asking, 0 if self.unmanaged else 6))
        form = self.rng.choices([form for form, _ in forms], [weight for _, weight in forms])[0]
        steps = self.explained(form())
        return Item(steps, settings(self.rng, self.version, self.seen), role=self.chance(0.15) and unprivileged(steps))

    def explained(self, steps):
        """Puts EXPLAIN before some of the steps: it has to print the rewritten trees."""
        result = []
        for step in steps:
            if step.sql.startswith(EXPLAINED) and self.chance(0.04):
                self.seen['explain'] += 1
                analyze = self.rng.choice(('ANALYZE, TIMING off, ', '')) if step.sql.startswith('SELECT') else ''
                result.append(Step(f'EXPLAIN ({analyze}VERBOSE, COSTS off) {step.sql}', 'explain', compare='state'))
            result.append(step)
        return result

    def simple(self):
        """A block, with ORDER BY and LIMIT or row locks."""
        block = self.block(2)
        text, ordered = self.tail(block)
        return [Step(text, 'select', ordered=ordered)]

    def tail(self, block):
        """ORDER BY, LIMIT, FETCH WITH TIES, FOR UPDATE."""
        rng, text = self.rng, block.text
        if block.lockable and self.chance(0.15):
            strength = rng.choice(('UPDATE', 'NO KEY UPDATE', 'SHARE', 'KEY SHARE'))
            self.seen['row lock'] += 1
            tables = ', '.join(rng.sample(block.lockable, rng.randint(1, len(block.lockable))))
            ordered = self.chance(0.3)
            order = order_all(block.columns) if ordered else ''
            return f'{text}{order} FOR {strength} OF {tables}', ordered
        if self.chance(0.35):
            text += order_all(block.columns)
            if self.chance(0.5):
                self.seen['limit'] += 1
                text += f' LIMIT {rng.randint(1, 20)}'
                if self.chance(0.3):
                    text += f' OFFSET {rng.randint(0, 5)}'
            return text, True
        if self.chance(0.04):
            # Ties come whole, so the answer is a function of the rows.
            self.seen['with ties'] += 1
            return f'{text} ORDER BY 1 FETCH FIRST {rng.randint(1, 5)} ROWS WITH TIES', False
        return text, False

    def operation(self, depth=1):
        """UNION, INTERSECT and EXCEPT over blocks with the same output types."""
        rng = self.rng
        kinds = [rng.choice(KINDS) for _ in range(rng.randint(1, 3))]
        blocks = [self.block(depth, (), kinds) for _ in range(rng.choice((2, 2, 3)))]
        text = f'({blocks[0].text})'
        for block in blocks[1:]:
            word = rng.choice(('UNION ALL', 'UNION ALL', 'UNION', 'INTERSECT', 'INTERSECT ALL', 'EXCEPT', 'EXCEPT ALL'))
            self.seen[word.lower()] += 1
            text = f'({text} {word} ({block.text}))'
        return text, [Column(f'c{number + 1}', kind, 'any') for number, kind in enumerate(kinds)]

    def set_operation(self):
        """A set operation as the whole statement."""
        text, columns = self.operation()
        if self.chance(0.5):
            limit = f' LIMIT {self.rng.randint(1, 25)}' if self.chance(0.5) else ''
            return [Step(text + order_all(columns) + limit, 'set operation', ordered=True)]
        return [Step(text, 'set operation')]

    def appended(self):
        """UNION ALL at the top, or a sub-query that is flattened into one."""
        alias = self.alias()
        text, source, _ = self.append_source(alias, Scope(), 1)
        inner = text[1:text.rindex(')')]
        if self.chance(0.4):
            order = ' ORDER BY 1, 2, 3, 4 LIMIT 20' if self.chance(0.5) else ''
            return [Step(inner + order, 'union all', ordered=bool(order))]
        where = self.expressions.condition(Scope([source]), 1)
        return [Step(f'SELECT * FROM {text} WHERE {where}', 'union all')]

    def with_clause(self):
        """One or more CTEs, plain or fenced."""
        parts = []
        for _ in range(self.rng.randint(1, 3)):
            name = self.alias('w')
            fence = self.rng.choice(('', '', 'MATERIALIZED ', 'NOT MATERIALIZED '))
            if self.chance(0.2):
                text, columns = self.operation(0)
            else:
                block = self.block(1)
                text, columns = block.text, block.columns
            parts.append(f'{name} AS {fence}({text})')
            self.ctes.append((name, columns))
        self.seen['cte'] += 1
        block = self.block(1)
        self.ctes = []
        text = f"WITH {', '.join(parts)} {block.text}"
        ordered = self.chance(0.4)
        return [Step(text + (order_all(block.columns) if ordered else ''), 'with', ordered=ordered)]

    def recursive(self):
        """A walk along ref, from some rows to those that refer to them."""
        rng = self.rng
        first, second = (self.relation(lambda item: item.has('id', 'ref', 'name')) for _ in range(2))
        start = self.expressions.condition(Scope(self.named(first, 'x')), 0)
        step = self.expressions.condition(Scope(self.named(second, 'y')), 0)
        word = rng.choice(('UNION', 'UNION ALL'))
        outer = rng.choice(('SELECT * FROM r', 'SELECT depth, count(*) FROM r GROUP BY depth',
                            'SELECT r.id, z.name FROM r LEFT JOIN {} z ON z.id = r.id AND r.depth < 2'.format(
                                self.relation(lambda item: item.has('id', 'name')).name)))
        self.seen['recursive'] += 1
        return [Step(
            f'WITH RECURSIVE r (id, ref, name, depth) AS ('
            f'SELECT x.id, x.ref, x.name, 0 FROM {first.name} AS x WHERE {start} {word} '
            f'SELECT y.id, y.ref, y.name, r.depth + 1 FROM r JOIN {second.name} AS y ON y.ref = r.id '
            f'WHERE r.depth < 3 AND ({step})) {outer}', 'recursive')]

    def named(self, relation, alias):
        """A list with one source."""
        _, source, _ = self.table_source(alias, relation)
        return [source]

    def whole_table(self):
        """TABLE t, SELECT *, count(*): what people type."""
        relation = self.relation()
        text = self.rng.choice(('TABLE {}', 'SELECT * FROM {}', 'SELECT count(*) FROM {}', 'SELECT t FROM {} AS t',
                                'SELECT t.*, t.tableoid::regclass FROM {} AS t', 'SELECT FROM {}',
                                'SELECT to_jsonb(t) FROM {} AS t'))
        if relation.kind in ('view', 'matview'):
            text = 'SELECT * FROM {}'
        return [Step(text.format(relation.name), 'whole table')]

    def prepared(self):
        """PREPARE, and EXECUTE often enough for a generic plan."""
        rng = self.rng
        block = self.block(1)
        text = block.text + order_all(block.columns)
        name, values = self.alias('p'), []

        def parameter(match):
            values.append(match.group(2))
            return f'{match.group(1)} ${len(values)}'

        text = PARAMETER.sub(parameter, text)
        types = f"({', '.join('int' for _ in values)})" if values else ''
        steps = [Step(f'PREPARE {name}{types} AS {text}', 'prepare')]
        for number in range(rng.choice((2, 3, 7))):
            arguments = [value if number == 0 or self.chance(0.5) else str(rng.randrange(8)) for value in values]
            call = f"EXECUTE {name}{'(' + ', '.join(arguments) + ')' if values else ''}"
            steps.append(Step(call, 'execute', ordered=True))
            if self.chance(0.1):
                steps += self.toggle()
        return steps + [Step(f'DEALLOCATE {name}', 'deallocate')]

    def toggle(self):
        """Looks at deleted rows and back on the soft side: cached plans have to follow both ways."""
        self.seen['setting toggled'] += 1
        if self.chance(0.3):
            return [Step('SAVEPOINT toggle', 'savepoint'),
                    Step("SET LOCAL orm_ext.deleted_rows = 'only'", 'toggle', noise=True),
                    Step('ROLLBACK TO toggle', 'rollback to')]
        return [Step("SET LOCAL orm_ext.deleted_rows = 'show'", 'toggle', noise=True),
                Step("SET LOCAL orm_ext.deleted_rows = 'hide'", 'toggle', noise=True)]

    def cursor(self):
        """A cursor that is read in pieces, also backwards."""
        rng = self.rng
        block = self.block(1)
        name = self.alias('k')
        scroll = rng.choice(('', 'SCROLL ', 'NO SCROLL '))
        steps = [Step(f'DECLARE {name} {scroll}CURSOR FOR {block.text}{order_all(block.columns)}', 'declare')]
        for _ in range(rng.randint(1, 4)):
            fetch = rng.choice(('3', 'NEXT', '10', 'ALL'))
            if scroll == 'SCROLL ':
                fetch = rng.choice((fetch, 'BACKWARD 2', 'FIRST', 'LAST', 'ABSOLUTE 4', 'PRIOR'))
            steps.append(Step(f'FETCH {fetch} FROM {name}', 'fetch', ordered=True))
            if self.chance(0.15) and not OPAQUE.search(block.text):
                # What a cursor sees is settled when it is declared, but for functions with plans of their own.
                steps += [Step("SET LOCAL orm_ext.deleted_rows = 'show'", 'toggle', noise=True),
                          Step(f'FETCH 1 FROM {name}', 'fetch', ordered=True),
                          Step("SET LOCAL orm_ext.deleted_rows = 'hide'", 'toggle', noise=True)]
        return steps + [Step(f'CLOSE {name}', 'close')]

    def copy(self):
        """COPY of a query."""
        block = self.block(1)
        ordered = self.chance(0.5)
        text = block.text + (order_all(block.columns) if ordered else '')
        style = self.rng.choice(('', ' (FORMAT csv)'))
        return [Step(f'COPY ({text}) TO STDOUT{style}', 'copy', ordered=ordered, copy=True)]

    def outside(self):
        """The marker is tested by a level that does not name the table."""
        return [Step(self.mention_outside(), 'marker test outside')]

    def create_as(self):
        """CREATE TABLE AS, and what it took."""
        block = self.block(1)
        name = self.alias('n')
        return [Step(f'CREATE TEMP TABLE {name} ON COMMIT DROP AS {block.text}', 'create table as'),
                Step(f'SELECT * FROM {name}', 'select')]
