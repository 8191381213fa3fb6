"""Statements: what the server is told, and what the model makes of it.

A statement has sql() and apply(state, context), which returns an Outcome or raises SqlError (one of
its SQLSTATEs is to come) or Unsure.  A State is never changed in place.
"""

from dataclasses import dataclass, field, replace

from .contract import Context
from .types import SqlError, Unsure
from .unknown import differ, Marker, UNKNOWN


@dataclass(frozen=True)
class State:
    """What the tables hold: rows of t and of its parents in table p, by id."""

    rows: dict
    parents: dict = field(default_factory=dict)
    noted: frozenset = frozenset()  # parents to be touched at the end
    noting: bool = False            # by a trigger that is fired now

    def with_rows(self, changes):
        """The state after some rows changed; None takes a row away."""
        rows = {**self.rows, **changes}
        noted = set(self.noted)
        if self.noting:
            for key, new in changes.items():
                old = self.rows.get(key)
                if old and new and not differ((old[name], new[name]) for name in new if name != 'own'):
                    continue
                noted |= {row['ref'] for row in (old, new) if row and row['ref'] is not None}
        return replace(self, rows={key: row for key, row in rows.items() if row is not None}, noted=frozenset(noted))

    def with_parents(self, changes):
        """The state after some parents changed."""
        parents = {**self.parents, **changes}
        return replace(self, parents={key: row for key, row in parents.items() if row is not None})

    def committed(self):
        """No row is this transaction's own any more."""
        return State({key: dict(row, own=False) for key, row in self.rows.items()},
                     {key: dict(row, own=False) for key, row in self.parents.items()})

    def touched(self, schema, context):
        """The state as a transaction leaves it that is about to commit."""
        if not self.noted:
            return self
        if schema.parent.managed and context.bypass:
            return self
        return self.with_parents({key: schema.parent.touch(self.parents[key], context)
                                  for key in self.noted if key in self.parents})


@dataclass
class Outcome:
    """What a statement has to give."""

    state: State
    tag: str
    rows: list = None           # RETURNING: rows as dicts by column key
    answer: list = None         # or what a SELECT around it returns
    may_fail: set = field(default_factory=set)  # SQLSTATEs that are right as well
    warning: object = False     # of the guard: True, False, or None where that is left open


@dataclass
class Environment:
    """Where expressions find their values."""

    row: dict = None
    source: dict = None         # EXCLUDED, or the source of a MERGE
    parameters: tuple = ()
    context: Context = None


@dataclass
class Expression:
    """A value in SQL and in Python."""

    sql: str
    value: object               # Environment → value
    mentions: frozenset = frozenset()


@dataclass
class Condition:
    """A WHERE clause."""

    sql: str
    test: object                # Environment → True, False or None
    mentions: frozenset = frozenset()   # keys of columns
    pins: frozenset = frozenset()       # keys that = or IN fixes
    joined: bool = False        # by another relation: whether this pins is left open


def plain(value):
    """A value to compute with."""
    if isinstance(value, UNKNOWN):
        raise Unsure
    return value


class Statement:
    """What all have in common."""

    kind = ''
    returning = None            # Columns, or '*' and Columns
    copy = None                 # data of COPY FROM STDIN
    before = after = ()         # commands around it, in a transaction
    parameters = ()

    def returned(self, prefix=''):
        """The RETURNING clause."""
        if not self.returning:
            return ''
        if self.star:
            return f' RETURNING {prefix}*'
        return ' RETURNING ' + ', '.join(prefix + column.sql for column in self.returning)

    star = False


@dataclass
class Target:
    """A relation that statements write to: the root, a leaf, or the view."""

    schema: object
    name: str = 't'
    only: bool = False

    @property
    def sql(self):
        """In UPDATE and DELETE."""
        return f'ONLY {self.name}' if self.only else self.name

    def leaves(self):
        """Names of the tables whose rows are meant."""
        if self.name in ('t', 'shown') and not (self.only and self.schema.kind == 'inheritance'):
            return set(self.schema.leaves)
        return {self.name}

    def visible(self, state, deleted=False):
        """The rows that a statement sees."""
        leaves = self.leaves()
        return [row for row in state.rows.values() if row['leaf'] in leaves
                and (deleted or not self.schema.soft or row['deleted'] is None)]

    def entry(self):
        """The leaf whose triggers meet an inserted row, where partitions do not decide."""
        return self.schema.leaves['t' if self.name == 'shown' else self.name] \
            if self.schema.kind != 'partitioned' else None


def guarded(target, where, context, sets=()):
    """Whether orm_ext.version_guard objects to a statement; None where that is left open."""
    schema = target.schema
    version = schema.by_role('version')
    if context.guard == 'off' or not schema.versioned(target.name) or context.expected or version.key in where.mentions:
        return False
    if not set(schema.primary_key) <= where.pins:
        return False
    if version.key in sets and schema.option('version', 'mode', 'auto', target.name) == 'echo':
        return False
    if context.bypass:
        return False
    if where.joined or context.replica:
        return None
    return True


class Failures(set):
    """Collects what rows would fail with: the server stops at any of them."""

    def run(self, call):
        """The call's value, or None where it failed."""
        try:
            return call()
        except SqlError as error:
            self.update(error.states)
            return None

    def finish(self, others=()):
        """Raises if there was any; others are right as well."""
        if self:
            raise SqlError(*self, *others)


def judge(target, where, context, outcome, sets=()):
    """Adds the guard's opinion to an outcome."""
    verdict = guarded(target, where, context, sets)
    if verdict and context.guard == 'error':
        raise SqlError('OE002')
    if verdict is None and context.guard == 'error':
        outcome.may_fail.add('OE002')
    outcome.warning = verdict if context.guard == 'warn' else False
    return outcome


def updated_row(target, row, assignments, context, source=None, parameters=(), others=()):
    """The row as an UPDATE with these assignments leaves it; others are columns that count as listed, too."""
    schema, through_view = target.schema, target.name == 'shown'
    environment = Environment(row, source, parameters, context)
    new = dict(row)
    for column, expression in assignments:
        if expression.sql == 'DEFAULT' and through_view:
            raise Unsure
        value = expression.value(environment)
        new[column.key] = value if isinstance(value, UNKNOWN) else column.type.coerce(value)
    listed = {column.key for column, _ in assignments} | set(others)
    if schema.kind == 'partitioned' and new['region'] is None:
        raise SqlError('23514', '23502')
    return schema.leaves[row['leaf']].update(schema, row, new, listed, context)


@dataclass
class Update(Statement):
    """UPDATE … SET … WHERE … RETURNING …"""

    target: Target
    assignments: list       # (Column, Expression)
    where: Condition
    returning: list = None
    star: bool = False
    source: str = ''        # FROM …
    join: object = None     # row → source row or None
    tuple_form: bool = False    # SET (a, b) = (x, y)
    parameters: tuple = ()
    kind = 'update'

    def sql(self):
        """The statement."""
        if self.tuple_form and len(self.assignments) > 1:
            columns = ', '.join(column.sql for column, _ in self.assignments)
            values = ', '.join(expression.sql for _, expression in self.assignments)
            sets = f'({columns}) = ROW({values})'
        else:
            sets = ', '.join(f'{column.sql} = {expression.sql}' for column, expression in self.assignments)
        source = f' FROM {self.source}' if self.source else ''
        return f'UPDATE {self.target.sql} AS t SET {sets}{source} WHERE {self.where.sql}{self.returned("t.")}'

    def apply(self, state, context):
        """What has to come of it."""
        schema = self.target.schema
        keys = {column.key for column, _ in self.assignments}
        deleted = schema.soft and (context.replica or 'deleted' in keys or 'deleted' in self.where.mentions)
        failures, changes, rows = Failures(), {}, []
        for row in self.target.visible(state, deleted):
            source = self.join(row) if self.join else None
            if self.join and source is None:
                continue
            if not self.where.test(Environment(row, source, self.parameters, context)):
                continue
            new = failures.run(lambda row=row, source=source: updated_row(
                self.target, row, self.assignments, context, source, self.parameters))
            if new:
                changes[new['id']] = new
                rows.append(new)
        outcome = Outcome(None, f'UPDATE {len(rows)}', rows if self.returning else None)
        judge(self.target, self.where, context, outcome, keys)
        failures.finish(outcome.may_fail)
        outcome.state = state.with_rows(changes)
        return outcome


@dataclass
class Delete(Statement):
    """DELETE, which a soft-deleted table takes for an UPDATE of the marker."""

    target: Target
    where: Condition
    returning: list = None
    star: bool = False
    parameters: tuple = ()
    kind = 'delete'

    def sql(self):
        """The statement."""
        return f'DELETE FROM {self.target.sql} AS t WHERE {self.where.sql}{self.returned("t.")}'

    def apply(self, state, context):
        """What has to come of it."""
        schema = self.target.schema
        failures, changes, rows = Failures(), {}, []
        for row in self.target.visible(state, context.replica):
            if not self.where.test(Environment(row, None, self.parameters, context)):
                continue
            failures.run(lambda row=row: changes.update(deleted_row(schema, row, context)))
            rows.append(row)
        outcome = Outcome(None, f'DELETE {len(rows)}', rows if self.returning else None)
        judge(self.target, self.where, context, outcome)
        failures.finish(outcome.may_fail)
        outcome.state = state.with_rows(changes)
        return outcome


def deleted_row(schema, row, context):
    """The change that a DELETE makes to a row."""
    leaf = schema.leaves[row['leaf']]
    if schema.soft and not context.replica:
        marked = dict(row, deleted=Marker())
        return {row['id']: leaf.update(schema, row, marked, {'deleted'}, context.but(soft=True))}
    leaf.delete(row, context)
    return {row['id']: None}


@dataclass
class Insert(Statement):
    """INSERT, with or without ON CONFLICT, and COPY."""

    target: Target
    columns: list
    values: list                # rows of Expressions; None is DEFAULT
    conflict: str = ''          # '', nothing, update
    assignments: list = field(default_factory=list)
    where: Condition = None
    returning: list = None
    star: bool = False
    kind = 'insert'

    def sql(self):
        """The statement."""
        names = ', '.join(column.sql for column in self.columns)
        rows = ', '.join(f"({', '.join(value.sql if value else 'DEFAULT' for value in row)})" for row in self.values)
        sql = f'INSERT INTO {self.target.name} AS t ({names}) VALUES {rows}'
        schema = self.target.schema
        if self.conflict:
            key = ', '.join(schema.columns[key].sql for key in schema.primary_key)
            sql += f' ON CONFLICT ({key}) DO '
            if self.conflict == 'nothing':
                sql += 'NOTHING'
            else:
                sets = ', '.join(f'{column.sql} = {expression.sql}' for column, expression in self.assignments)
                sql += f'UPDATE SET {sets}' + (f' WHERE {self.where.sql}' if self.where else '')
        return sql + self.returned('t.')

    def proposed(self, values, context):
        """A row as VALUES has it."""
        row = {key: column.default for key, column in self.target.schema.columns.items()}
        for column, expression in zip(self.columns, values):
            if expression:
                value = expression.value(Environment(None, None, (), context))
                row[column.key] = column.type.coerce(value)
        return dict(row, own=True, leaf=None)

    def apply(self, state, context):
        """What has to come of it."""
        failures, rows = Failures(), []
        for values in self.values:
            row = failures.run(lambda values=values: inserted_row(
                self.target, self.proposed(values, context), context))
            if row is None:
                continue
            met = state.rows.get(row['id'])
            if met is not None and (met['leaf'] != row['leaf'] or met.get('region') != row.get('region')):
                raise Unsure
            if met is None:
                changed = row
            elif self.conflict == 'nothing':
                continue
            elif not self.conflict:
                failures.add('23505')
                continue
            else:
                changed = failures.run(lambda met=met, row=row: self.upsert(met, row, context))
            if changed:
                state = state.with_rows({changed['id']: changed})
                rows.append(changed)
        failures.finish()
        return Outcome(state, f'INSERT 0 {len(rows)}', rows if self.returning else None)

    def upsert(self, met, row, context):
        """ON CONFLICT DO UPDATE on a row."""
        schema = self.target.schema
        restores = any(column.role == 'marker' for column, _ in self.assignments)
        if schema.soft and not restores and not context.replica and plain(met['deleted']) is not None:
            raise SqlError('23505')
        if self.where and not self.where.test(Environment(met, row, (), context)):
            return None
        return updated_row(self.target, met, self.assignments, context, row)


def inserted_row(target, row, context):
    """A row as an INSERT stores it."""
    schema = target.schema
    if schema.kind == 'partitioned' and row['region'] is None:
        raise SqlError('23514', '23502')
    leaf = target.entry() or schema.route(row, None)
    if schema.kind == 'partitioned' and leaf.name not in target.leaves():
        raise SqlError('23514')
    return leaf.insert(schema, row, context)


@dataclass
class Copy(Insert):
    """COPY … FROM STDIN; every value is a constant."""

    kind = 'copy'

    def sql(self):
        """The statement."""
        return f"COPY {self.target.name} ({', '.join(column.sql for column in self.columns)}) FROM STDIN"

    @property
    def copy(self):
        """What is sent."""
        lines = []
        for values in self.values:
            fields = []
            for column, expression in zip(self.columns, values):
                value = expression.value(None)
                text = '\\N' if value is None else column.type.text(value).replace('\\', '\\\\').replace('\t', '\\t')
                fields.append(text)
            lines.append('\t'.join(fields) + '\n')
        return ''.join(lines)

    def apply(self, state, context):
        """What has to come of it."""
        outcome = super().apply(state, context)
        outcome.tag = f'COPY {len(self.values)}'
        return outcome
