"""Random statements and settings."""

import uuid

from . import types
from .schema import REGIONS, value as random_value
from .special import Checked, Current, Merge, Poke, Reference
from .statements import Condition, Copy, Delete, Expression, Insert, plain, Target, Update
from .types import Unsure
from .wrappers import Block, Execute, Template, With

WHO = ('', 'ann', 'bob', '42', '007', '99999999999', 'oracle_app', 'a name too long for thirty chars',
       '0b5e1f9c-33aa-4e10-8f6e-0123456789ab')


def reference(column, alias='t'):
    """A column of the target row."""
    return Expression(f'{alias}.{column.sql}', lambda env: env.row[column.key], frozenset([column.key]))


def constant(column, value):
    """A constant of the column's type."""
    return Expression(column.type.literal(value), lambda env: value)


def sourced(column, alias):
    """A column of EXCLUDED or of a MERGE's source."""
    return Expression(f'{alias}.{column.sql}', lambda env: env.source[column.key])


def plus(column, number, alias='t'):
    """A counter counted up."""
    def value(env):
        stored = plain(env.row[column.key])
        if stored is None:
            return None
        return stored + number * (1_000_000 if column.type.is_time else 1)
    what = f"interval '{number} second'" if column.type.is_time else number
    return Expression(f'{alias}.{column.sql} + {what}', value, frozenset([column.key]))


class Generator:
    """Makes up statements for the state that the tables are in."""

    def __init__(self, rng, schema, seen, version):
        self.rng = rng
        self.schema = schema
        self.seen = seen
        self.server = version
        self.templates = []

    def chance(self, probability):
        """True that often."""
        return self.rng.random() < probability

    # Settings

    def setting(self, state, context):
        """(name, value, changes of the context) of a random setting."""
        rng = self.rng
        choice = rng.choices(('actor', 'expected', 'bypass', 'stale', 'guard', 'zone'), (6, 4, 2, 2, 3, 2))[0]
        if choice == 'actor':
            who = rng.choice(WHO)
            return 'orm_ext.actor', who, {'actor': who}
        if choice == 'expected':
            text = '' if context.expected or not self.schema.by_role('version') else self.some_version(state)
            if text and self.chance(0.03):
                text = 'none'
            return 'orm_ext.expected_version', self.spelled(text), {'expected': text}
        if choice == 'bypass':
            return 'orm_ext.bypass_stamps', 'off' if context.bypass else 'on', {'bypass': not context.bypass}
        if choice == 'stale':
            code = rng.choice(('OE001', '40001', 'P0001'))
            return 'orm_ext.stale_sqlstate', code, {'stale': code}
        if choice == 'guard':
            mode = rng.choice(('off', 'warn', 'error'))
            return 'orm_ext.version_guard', mode, {'guard': mode}
        zone = rng.choice(list(types.ZONES))
        return 'TimeZone', zone, {'zone': zone}

    def spelled(self, text):
        """Another spelling of a version."""
        family = self.schema.by_role('version').type.family if text else ''
        if text in ('', 'none') or self.chance(0.7):
            return text
        if family == 'int':
            return f' 00{text}' if text[0] != '-' else text
        return text.upper() if family == 'uuid' else text.replace('+00', ' UTC')

    def some_version(self, state):
        """A version that some row has, as text."""
        column = self.schema.by_role('version')
        stored = [row['version'] for row in state.rows.values() if row['version'] is not None]
        return column.type.text(self.rng.choice(stored)) if stored else ''

    # Statements

    def statement(self, state, context):
        """A random statement."""
        schema = self.schema
        kinds = {'update': 34, 'save': 14, 'insert': 7, 'copy': 5, 'upsert': 11, 'merge': 9, 'delete': 6, 'joined': 4,
                 'execute': 14, 'with': 4, 'block': 6, 'current': 3, 'poke': 3,
                 'reference': 5 if schema.parent else 0,
                 'checked': 4 if schema.versioned() else 0}
        kind = self.rng.choices(list(kinds), list(kinds.values()))[0]
        return getattr(self, f'make_{kind}')(state, context)

    def target(self):
        """A relation to write to."""
        schema, rng = self.schema, self.rng
        if schema.view and self.chance(0.15):
            return Target(schema, 'shown')
        if len(schema.leaves) > 1 and self.chance(0.15):
            return Target(schema, rng.choice(list(schema.leaves)))
        return Target(schema, 't', schema.kind == 'inheritance' and self.chance(0.1))

    def returning(self, statement):
        """Adds a RETURNING clause, often."""
        columns = list(self.schema.columns.values())
        if self.chance(0.3):
            statement.returning, statement.star = columns, True
        elif self.chance(0.4):
            others = [column for column in columns if column.key != 'id']
            picked = self.rng.sample(others, self.rng.randint(1, min(6, len(others))))
            statement.returning = [self.schema.columns['id'], *picked]
        return statement

    def rows(self, target, state, deleted=False):
        """The rows that a statement may see."""
        rows = target.visible(state, deleted)
        if not rows:
            raise Unsure
        return rows

    def make_update(self, state, context):
        """UPDATE with anything in the SET list."""
        target = self.target()
        rows = self.rows(target, state)
        row = self.rng.choice(rows)
        where, single = self.where(rows, row)
        statement = Update(target, self.assignments(target, state, context, row if single else None), where)
        statement.tuple_form = self.chance(0.1)
        return self.returning(statement)

    def make_save(self, state, context):
        """What an ORM sends: by key and version, with the next version or the same."""
        target = self.target()
        row = self.rng.choice(self.rows(target, state))
        where = self.key_condition(row)
        version = self.schema.by_role('version')
        if version and self.chance(0.7):
            stored = row['version']
            if self.chance(0.15):
                stored = random_value(self.rng, version)
            where = both(where, equals(version, stored))
        assignments = []
        echo = self.chance(0.4)
        for column in self.schema.payload():
            if column.key.startswith('w') or (not echo and self.chance(0.6)):
                continue
            value = row[column.key] if self.chance(0.75) else self.value(column, state)
            assignments.append((column, constant(column, value)))
        if version and self.chance(0.8):
            assignments.append((version, self.version_for(version, row, 0.8)))
        created, updated = self.schema.by_role('created'), self.schema.by_role('updated')
        if created and self.chance(0.4):
            assignments.append((created, constant(created, row['created'])))
        if updated and self.chance(0.4):
            assignments.append((updated, self.updated(updated, row, context)))
        self.rng.shuffle(assignments)
        return self.returning(Update(target, self.some(assignments, state), where))

    def make_joined(self, state, context):
        """UPDATE … FROM (VALUES …)."""
        target = self.target()
        rows = self.rng.sample(self.rows(target, state), 1)
        rows += [row for row in self.rows(target, state) if self.chance(0.3) and row is not rows[0]]
        note = self.schema.columns['note']
        values = {row['id']: self.value(note, state) for row in rows}
        listed = ', '.join(f"({key}, {note.type.literal(value)})" for key, value in values.items())
        given = Expression('s.note', lambda env: env.source['note'])
        assignments = [(note, given), *self.managed(state, context, None)]
        where = Condition('t.id = s.id', lambda env: True, frozenset(['id']), frozenset(self.schema.primary_key),
                          joined=True)
        statement = Update(target, assignments, where, source=f'(VALUES {listed}) AS s (id, note)')
        statement.join = lambda row: {'note': values[row['id']]} if row['id'] in values else None
        return self.returning(statement)

    def make_delete(self, state, context):
        """DELETE of one row or a few."""
        target = self.target()
        rows = self.rows(target, state)
        row = self.rng.choice(rows)
        if len(state.rows) > 5 and self.chance(0.15):
            where, _ = self.where(rows, row, 0.2)
        else:
            where = self.key_condition(row)
            version = self.schema.by_role('version')
            if version and self.chance(0.5):
                where = both(where, equals(version, row['version']))
        return self.returning(Delete(target, where))

    def make_insert(self, state, _context):
        """INSERT of new rows."""
        target = self.target()
        columns = self.insert_columns()
        values = [self.insert_row(target, columns, state, number) for number in range(self.rng.choice((1, 1, 2, 4)))]
        return self.returning(Insert(target, columns, values))

    def make_copy(self, state, _context):
        """COPY of new rows."""
        target = self.target()
        if target.name == 'shown':
            raise Unsure
        columns = [column for column in self.insert_columns() if column.type.family != 'big']
        values = []
        for number in range(self.rng.choice((1, 3, 5))):
            row = self.insert_row(target, columns, state, number)
            values.append([value or constant(column, None if column.role not in ('key', 'region') else 1)
                           for column, value in zip(columns, row)])
        return Copy(target, columns, values)

    def make_upsert(self, state, context):
        """INSERT … ON CONFLICT, on rows that are there or not."""
        target = self.target()
        existing = [row for row in state.rows.values() if row['leaf'] in target.leaves()
                    and (self.schema.kind != 'inheritance' or row['leaf'] == target.entry().name)]
        columns = self.insert_columns()
        met = self.rng.sample(existing, min(len(existing), self.rng.choice((0, 1, 1, 2))))
        values = [self.insert_row(target, columns, state, 0, row) for row in met]
        values += [self.insert_row(target, columns, state, number) for number in range(self.rng.choice((0, 0, 1, 2)))]
        if not values:
            raise Unsure
        self.rng.shuffle(values)
        statement = Insert(target, columns, values, self.rng.choice(('update', 'update', 'update', 'nothing')))
        if statement.conflict == 'update':
            row = met[0] if len(met) == 1 else None
            statement.assignments = [
                (column, sourced(column, 'excluded') if column in columns and column.type.family != 'big' and
                 self.chance(0.5) else expression)
                for column, expression in self.assignments(target, state, context, row) if column.role != 'region']
            for column in columns:
                if column.role in ('created', 'updated', 'version', 'updated_by', 'created_by') and self.chance(0.2) \
                        and all(column is not other for other, _ in statement.assignments):
                    statement.assignments.append((column, sourced(column, 'excluded')))
            if not statement.assignments:
                raise Unsure
            if self.chance(0.1):
                n = self.schema.columns['n']
                statement.where = Condition('t.n IS NOT NULL', lambda env: env.row['n'] is not None, frozenset([n.key]))
        return self.returning(statement)

    def make_merge(self, state, context):
        """MERGE with one or two actions on rows that match, and perhaps an INSERT."""
        target = self.target()
        if target.name == 'shown' or self.schema.kind == 'inheritance' and target.name != 't':
            raise Unsure
        rows = self.rng.sample(list(state.rows.values()), min(len(state.rows), self.rng.choice((1, 1, 2, 3))))
        rows = [row for row in rows if row['leaf'] in target.leaves()]
        key = [self.schema.columns[key] for key in self.schema.primary_key]
        source = [*key, self.schema.columns['n'], self.schema.columns['note']]
        version = self.schema.by_role('version')
        if version:
            source.append(version)
        values = []
        for row in rows:
            values.append([row[column.key] if column in key or self.chance(0.4) else self.value(column, state)
                           for column in source])
        if self.chance(0.4):
            new = {column.key: self.value(column, state) for column in source}
            new['id'] = max(state.rows, default=0) + 1
            values.append([new[column.key] for column in source])
        if not values:
            raise Unsure
        actions, alone = [], rows[0] if len(rows) == 1 else None
        if self.chance(0.3):
            limit = self.rng.randint(2, 7)
            actions.append((True, Condition(f't.n > {limit}', lambda env: (env.row['n'] or -1) > limit),
                            *self.matched(target, source, state, context, alone)))
        actions.append((True, None, *self.matched(target, source, state, context, alone)))
        if self.chance(0.6):
            assignments = [(column, sourced(column, 's')) for column in source
                           if column in key or column.role == 'version' and self.chance(0.3) or self.chance(0.7)]
            actions.append((False, None, 'insert', assignments))
        merge = Merge(target, source, values, actions)
        if self.server >= 170000 and not merge.deletes():
            self.returning(merge)
        return merge

    def matched(self, target, source, state, context, row):
        """(action, assignments) for rows that match."""
        if self.chance(0.1):
            return self.rng.choice(('nothing', 'delete')), None
        assignments = self.assignments(target, state, context, row)
        for number, (column, _) in enumerate(assignments):
            if column in source and self.chance(0.6):
                assignments[number] = column, sourced(column, 's')
        return 'update', assignments

    def make_with(self, state, context):
        """An UPDATE or DELETE in WITH."""
        make = self.rng.choice((self.make_update, self.make_update, self.make_save, self.make_delete, self.make_merge))
        inner = make(state, context)
        if isinstance(inner, Merge) and (self.server < 170000 or inner.deletes()):
            raise Unsure
        inner.returning, inner.star = [self.schema.columns['id']], False
        return With(inner)

    def make_block(self, state, context):
        """DO with two or three statements."""
        steps = []
        for _ in range(self.rng.choice((2, 2, 3))):
            make = self.rng.choice((self.make_update, self.make_update, self.make_save, self.make_insert,
                                    self.make_upsert, self.make_merge))
            inner = make(state, context)
            inner.returning = None
            steps.append((inner, self.chance(0.3)))
        return Block(steps)

    def make_current(self, state, context):
        """UPDATE … WHERE CURRENT OF."""
        target = self.target()
        if target.name == 'shown':
            raise Unsure
        row = self.rng.choice(self.rows(target, state))
        # Not by the partition key: the server wants every partition in the cursor's plan.
        where = Condition(f"t.id BETWEEN {row['id']} AND {row['id']}", lambda env: env.row['id'] == row['id'])
        return self.returning(Current(target, self.assignments(target, state, context, row), where))

    def make_poke(self, state, _context):
        """A row that an application's trigger updates."""
        return Poke(self.schema, self.rng.choice(self.rows(Target(self.schema), state))['id'])

    def make_reference(self, state, _context):
        """A change of the table that ours refers to."""
        old = self.rng.choice(sorted(state.parents) or [1])
        return Reference(self.schema, old, None if self.chance(0.2) else self.rng.randint(1, 40))

    def make_checked(self, state, _context):
        """update_checked() or delete_checked()."""
        row = self.rng.choice(self.rows(Target(self.schema), state))
        version = self.schema.by_role('version')
        if row['version'] is None:
            raise Unsure
        given = version.type.text(row['version']) if self.chance(0.6) else self.some_version(state)
        if self.chance(0.1):
            row = dict(row, id=9999)
        changes = [(column, row[column.key] if self.chance(0.2) else self.value(column, state))
                   for column in (self.schema.columns['n'], self.schema.columns['note']) if self.chance(0.7)]
        return Checked(self.schema, row, given, None if self.chance(0.2) or not changes else changes)

    # Prepared statements and functions

    def template(self, number, function):
        """An UPDATE (or DELETE) by key with parameters."""
        schema, rng = self.schema, self.rng
        target = Target(schema)
        columns, assignments = [], []

        def parameter(column):
            columns.append(column)
            place = len(columns) - 1
            return Expression(f'${place + 1}', lambda env: env.parameters[place])

        payload = [column for column in schema.payload() if column.type.family != 'big' and column.key != 'ref'
                   and not column.type.sql.startswith('char')]
        for column in rng.sample(payload, min(len(payload), rng.randint(1, 3))):
            assignments.append((column, parameter(column) if self.chance(0.8) else reference(column)))
        version = schema.by_role('version')
        if version and self.chance(0.5):
            assignments.append((version, parameter(version) if version.type.family == 'uuid' or self.chance(0.5)
                                else plus(version, 1)))
        updated = schema.by_role('updated')
        if updated and self.chance(0.25):
            assignments.append((updated, parameter(updated)))
        key = parameter(schema.columns['id'])
        where = Condition(f't.id = {key.sql}', lambda env: env.row['id'] == key.value(env), frozenset(['id']),
                          frozenset(['id']))
        if version and self.chance(0.4):
            given = parameter(version)
            where = Condition(f'{where.sql} AND t.{version.sql} = {given.sql}',
                              lambda env, where=where: where.test(env) and given.value(env) is not None
                              and plain(env.row['version']) == given.value(env),
                              where.mentions | {'version'}, where.pins)
        if self.chance(0.15):
            statement = Delete(target, where)
            if len(columns) != sum(f'${number}' in statement.sql() for number in range(1, len(columns) + 1)):
                raise Unsure
        else:
            statement = Update(target, assignments, where)
        if not function:
            self.returning(statement)
        return Template(f'fun_{number}' if function else f'pre_{number}', statement, columns, function)

    def make_execute(self, state, _context):
        """A template with values for some row."""
        if not self.templates:
            raise Unsure
        template = self.rng.choice(self.templates)
        row = self.rng.choice(self.rows(Target(self.schema), state))
        values = []
        for column in template.columns:
            if column.key == 'id' or (column.role != 'version' and self.chance(0.4)):
                value = row[column.key]
            elif column.role == 'version' and self.chance(0.85):
                value = row['version']
                if self.chance(0.4) and column.type.family == 'int' and value is not None and value < column.type.high:
                    value += 1
                if value is not None and types.FORBIDDEN.get(column.type.sql) == value:
                    raise Unsure
            else:
                value = self.value(column, state)
            values.append(value)
        return Execute(template, values)

    # Parts

    def value(self, column, state):
        """A random value of a column."""
        if column.key == 'ref':
            return self.rng.choice([None, *sorted(state.parents)])
        if column.key == 'region':
            return self.rng.choice(REGIONS)
        if not column.not_null and self.chance(0.1):
            return None
        return random_value(self.rng, column)

    def key_condition(self, row):
        """The whole primary key, or of a partitioned table sometimes only id."""
        columns = self.schema.columns
        where = Condition(f"t.id = {row['id']}", lambda env: env.row['id'] == row['id'], frozenset(['id']),
                          frozenset(['id']))
        if self.schema.kind == 'partitioned' and self.chance(0.7):
            where = both(where, equals(columns['region'], row['region']))
        return where

    def where(self, rows, row, wide=1.0):
        """(condition, whether it means one row): anything from one row to all of them."""
        rng, n = self.rng, self.schema.columns['n']
        choice = rng.choices(('key', 'keys', 'any', 'range', 'n', 'all'), (6, 3, 1, 2 * wide, 2 * wide, wide))[0]
        ids = sorted({row['id'], *(other['id'] for other in rng.sample(rows, min(len(rows), 3)))})
        listed = ', '.join(str(number) for number in ids)
        if choice == 'key':
            where = self.key_condition(row)
            if self.chance(0.1):
                where = both(where, Condition('t.n IS NOT NULL', lambda env: env.row['n'] is not None,
                                              frozenset(['n'])))
            return where, True
        if choice in ('keys', 'any'):
            sql = f't.id IN ({listed})' if choice == 'keys' else f"t.id = ANY ('{{{listed}}}')"
            where = Condition(sql, lambda env: env.row['id'] in ids, frozenset(['id']), frozenset(['id']))
            if self.schema.kind == 'partitioned' and self.chance(0.4):
                region = self.schema.columns['region']
                where = both(where, Condition(f"t.{region.sql} IN ('a', 'b', 'c')",
                                              lambda env: env.row['region'] in ('a', 'b', 'c'),
                                              frozenset(['region']), frozenset(['region'])))
            return where, len(ids) == 1
        if choice == 'range':
            low = rng.randint(0, 8)
            return Condition(f't.id BETWEEN {low} AND {low + 3}', lambda env: low <= env.row['id'] <= low + 3,
                             frozenset(['id'])), False
        if choice == 'n':
            low = rng.randint(0, 6)
            return Condition(f't.{n.sql} >= {low}', lambda env: env.row['n'] is not None and env.row['n'] >= low,
                             frozenset(['n'])), False
        return Condition('true', lambda env: True), False

    def some(self, assignments, state):
        """The assignments, or one if there are none."""
        if assignments:
            return assignments
        note = self.schema.columns['note']
        return [(note, constant(note, self.value(note, state)))]

    def assignments(self, target, state, context, row):
        """A SET list; row is the only one that is meant, if so."""
        rng, schema = self.rng, self.schema
        payload = schema.payload()
        picked = rng.sample(payload, min(len(payload), rng.choice((0, 1, 1, 1, 2, 3))))
        assignments = [(column, self.payload_expression(column, state)) for column in picked]
        region = schema.by_role('region')
        if region and target.name in ('t', 'shown') and self.chance(0.15):
            assignments.append((region, constant(region, self.value(region, state))))
        marker = schema.by_role('marker')
        if marker and self.chance(0.03):
            assignments.append((marker, constant(marker, None)))
        assignments += self.managed(state, context, row)
        rng.shuffle(assignments)
        return self.some(assignments, state)

    def payload_expression(self, column, state):
        """An expression for a column of the application."""
        if self.chance(0.3):
            return reference(column)
        if column.key in ('n', 'm') and self.chance(0.3):
            return plus(column, self.rng.choice((0, 1)))
        if column.key == 'note' and self.chance(0.3):
            def value(env):
                return None if env.row['note'] is None else (env.row['note'] + '!')[-8:]
            return Expression("right(t.note || '!', 8)", value)
        if column.key == 'big' and self.chance(0.2):
            return Expression(f'concat(t.{column.sql})', lambda env: env.row['big'] or '')
        return constant(column, self.value(column, state))

    def managed(self, state, context, row):
        """Assignments to managed columns."""
        rng, assignments = self.rng, []
        version = self.schema.by_role('version')
        if version and self.chance(0.5):
            assignments.append((version, self.version_for(version, row, 0.5)))
        created = self.schema.by_role('created')
        if created and self.chance(0.2):
            value = rng.choice((reference(created), constant(created, self.value(created, state))))
            assignments.append((created, value))
        updated = self.schema.by_role('updated')
        if updated and self.chance(0.3):
            assignments.append((updated, self.updated(updated, row, context)))
        for role in ('created_by', 'updated_by', 'change_id'):
            column = self.schema.by_role(role)
            if column and self.chance(0.12):
                assignments.append((column, rng.choice((reference(column),
                                                        constant(column, self.value(column, state))))))
        return assignments

    def version_for(self, column, row, right):
        """An expression for the version; right is the probability of one that ought to pass."""
        rng, kind = self.rng, column.type
        if self.chance(right):
            if self.chance(0.3):
                return reference(column)
            if kind.family == 'uuid':
                return constant(column, str(uuid.UUID(int=rng.getrandbits(128), version=4)))
            if row is None or row['version'] is None or self.chance(0.5):
                return plus(column, 1)
            if kind.is_time:
                return constant(column, kind.round(row['version'] + rng.choice((kind.step, 10 ** 9))))
            if row['version'] == kind.high:
                return constant(column, rng.choice((0, 1, kind.low)))
            if types.FORBIDDEN.get(kind.sql) == row['version'] + 1:
                raise Unsure
            return constant(column, row['version'] + 1)
        if self.chance(0.2):
            return Expression('DEFAULT', lambda env: column.default)
        if row is not None and self.chance(0.4):
            return constant(column, row['version'])
        if kind.family == 'int' and self.chance(0.3):
            return plus(column, rng.choice((2, -1)))
        return constant(column, random_value(rng, column) if self.chance(0.9) else None)

    def updated(self, column, row, context):
        """An expression for the time of the last change."""
        if self.chance(0.3):
            return reference(column)
        if row is not None and self.chance(0.3):
            return constant(column, row['updated'])
        if context.now is not None and column.type.family == 'tz' and self.chance(0.4):
            return Expression('now()', lambda env: context.now)
        return constant(column, random_value(self.rng, column) if self.chance(0.9) else None)

    def insert_columns(self):
        """Columns of an INSERT: the key, and some others."""
        columns = []
        for column in self.schema.columns.values():
            if column.generated or column.role == 'marker':
                continue
            often = {'key': 1, 'region': 1, 'payload': 0.6}.get(column.role, 0.3)
            if self.chance(often):
                columns.append(column)
        self.rng.shuffle(columns)
        return columns

    def insert_row(self, target, columns, state, number, row=None):
        """Values for one row; row is one whose key it shall have."""
        values = []
        leaf_regions = [region for region, leaf in self.schema.routes.items() if leaf in target.leaves()] or REGIONS
        for column in columns:
            if column.key == 'id':
                key = row['id'] if row else max(state.rows, default=0) + 1 + number
                values.append(constant(column, key))
            elif column.key == 'region':
                values.append(constant(column, row['region'] if row else self.rng.choice(leaf_regions)))
            elif column.role != 'payload' and self.chance(0.2):
                values.append(None)
            elif column.role in ('created', 'updated') and self.chance(0.3):
                values.append(constant(column, None))
            else:
                values.append(constant(column, self.value(column, state)))
        return values


def equals(column, value):
    """column = value."""
    if value is None:
        return Condition(f't.{column.sql} IS NULL', lambda env: plain(env.row[column.key]) is None,
                         frozenset([column.key]))
    return Condition(f't.{column.sql} = {column.type.literal(value)}',
                     lambda env: plain(env.row[column.key]) is not None and plain(env.row[column.key]) == value,
                     frozenset([column.key]), frozenset([column.key]))


def both(left, right):
    """left AND right."""
    return Condition(f'{left.sql} AND {right.sql}', lambda env: left.test(env) and right.test(env),
                     left.mentions | right.mentions, left.pins | right.pins, left.joined or right.joined)
