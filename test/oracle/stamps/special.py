"""Statements of less usual kinds: MERGE, foreign keys, triggers, cursors, checked updates."""

from dataclasses import dataclass
import json

from .statements import (Condition, deleted_row, Environment, Expression, Failures, inserted_row, Outcome, Statement,
                         Target, Update, updated_row)
from .types import quote, SqlError, Unsure


@dataclass
class Merge(Statement):
    """MERGE from a list of values."""

    target: Target
    columns: list               # of the source
    values: list                # rows of constants
    actions: list               # (matched, Condition or None, 'update' | 'delete' | 'nothing' | 'insert', assignments)
    returning: list = None      # from 17 on
    star: bool = False
    kind = 'merge'

    def deletes(self):
        """Whether rows may be deleted."""
        return any(action == 'delete' for _, _, action, _ in self.actions)

    def sql(self):
        """The statement."""
        schema = self.target.schema
        rows = ', '.join('(' + ', '.join(column.type.literal(value) if not column.type.family == 'int'
                                         else f'{column.type.literal(value)}::{column.type.sql}'
                                         for column, value in zip(self.columns, row)) + ')' for row in self.values)
        names = ', '.join(column.sql for column in self.columns)
        keys = ' AND '.join(f't.{schema.columns[key].sql} = s.{schema.columns[key].sql}' for key in schema.primary_key)
        lines = [f'MERGE INTO {self.target.sql} AS t USING (VALUES {rows}) AS s ({names}) ON {keys}']
        for matched, condition, action, assignments in self.actions:
            line = 'WHEN MATCHED' if matched else 'WHEN NOT MATCHED'
            line += f' AND {condition.sql} THEN ' if condition else ' THEN '
            if action == 'update':
                sets = ', '.join(f'{column.sql} = {expression.sql}' for column, expression in assignments)
                line += f'UPDATE SET {sets}'
            elif action == 'insert':
                line += (f"INSERT ({', '.join(column.sql for column, _ in assignments)})"
                         f" VALUES ({', '.join(expression.sql for _, expression in assignments)})")
            else:
                line += {'delete': 'DELETE', 'nothing': 'DO NOTHING'}[action]
            lines.append(line)
        return ' '.join(lines) + self.returned('t.')

    def apply(self, state, context):
        """What has to come of it."""
        schema, before = self.target.schema, state
        context = context.but(merge=True)
        restores = any(column.role == 'marker' for *_, assignments in self.actions for column, _ in assignments or ())
        seen = {row['id']: row for row in self.target.visible(before, context.replica or restores)}
        failures, count, rows = Failures(), 0, []
        for values in self.values:
            source = {column.key: value for column, value in zip(self.columns, values)}
            row = seen.get(source['id'])
            if 'region' in source and self.target.name != 't' and \
                    schema.routes.get(source['region']) != self.target.name:
                raise Unsure
            if row is not None and 'region' in schema.primary_key and row['region'] != source['region']:
                raise Unsure
            environment = Environment(row, source, (), context)
            for matched, condition, action, assignments in self.actions:
                if matched != (row is not None) or (condition and not condition.test(environment)):
                    continue
                changes = failures.run(lambda row=row, source=source, action=action, assignments=assignments: self.act(
                    before, row, source, action, assignments, context))
                if changes is not None and action != 'nothing':
                    state = state.with_rows(changes)
                    rows += changes.values()
                    count += 1
                break
        failures.finish()
        return Outcome(state, f'MERGE {count}', rows if self.returning else None)

    def act(self, state, row, source, action, assignments, context):
        """One action on one row: the changes."""
        schema = self.target.schema
        if action == 'nothing':
            return {}
        if action == 'delete':
            return deleted_row(schema, row, context)
        if action == 'update':
            # The server tells triggers the columns of all actions together.
            others = {column.key for _, _, other, listed in self.actions if other == 'update' for column, _ in listed}
            new = updated_row(self.target, row, assignments, context, source, others=others)
            return {new['id']: new}
        new = {key: column.default for key, column in schema.columns.items()}
        for column, expression in assignments:
            new[column.key] = column.type.coerce(expression.value(Environment(None, source, (), context)))
        new = inserted_row(self.target, dict(new, own=True, leaf=None), context)
        met = state.rows.get(new['id'])
        if met is not None:
            if (met['leaf'], met.get('region')) != (new['leaf'], new.get('region')):
                raise Unsure
            raise SqlError('23505')
        return {new['id']: new}


@dataclass
class Reference(Statement):
    """A change of table p, which its foreign key brings to ours."""

    schema: object
    old: int
    new: int                    # None is a DELETE
    kind = 'foreign key'

    def sql(self):
        """The statement."""
        if self.new is None:
            return f'DELETE FROM p WHERE id = {self.old}'
        return f'UPDATE p SET id = {self.new} WHERE id = {self.old}'

    def apply(self, state, context):
        """What has to come of it."""
        parent = self.schema.parent
        if context.replica or (context.bypass and context.role != 'postgres') \
                or (parent.versioned and context.guard != 'off'):
            raise Unsure
        word = 'DELETE' if self.new is None else 'UPDATE'
        old = state.parents.get(self.old)
        if old is None:
            return Outcome(state, f'{word} 0')
        if self.new is None:
            parent.delete(old, context)
            change = {self.old: None}
        else:
            row = parent.update(old, dict(old, id=self.new), context)
            if self.new != self.old and self.new in state.parents:
                raise SqlError('23505')
            change = {self.old: None, self.new: row}
        failures, changes = Failures(), {}
        context = context.but(action=True)
        for row in state.rows.values():
            if row['ref'] == self.old and self.new != self.old:
                leaf = self.schema.leaves[row['leaf']]
                new = failures.run(lambda row=row, leaf=leaf: leaf.update(
                    self.schema, row, dict(row, ref=self.new), {'ref'}, context))
                if new:
                    changes[new['id']] = new
        failures.finish()
        return Outcome(state.with_rows(changes).with_parents(change), f'{word} 1')


@dataclass
class Poke(Statement):
    """An INSERT elsewhere, whose trigger updates a row of ours."""

    schema: object
    key: int
    kind = 'poke'

    def sql(self):
        """The statement."""
        return f'INSERT INTO poke VALUES ({self.key})'

    def apply(self, state, context):
        """What has to come of it."""
        if not context.replica:
            n = self.schema.columns['n']
            update = Update(Target(self.schema), [(n, Expression('', lambda env: (env.row['n'] or 0) + 1))],
                            Condition('', lambda env: env.row['id'] == self.key))
            state = update.apply(state, context.but(nested=True)).state
        return Outcome(state, 'INSERT 0 1')


@dataclass
class Current(Update):
    """UPDATE … WHERE CURRENT OF a cursor."""

    kind = 'current'

    @property
    def before(self):
        """The cursor, at its row."""
        query = f'DECLARE at_row CURSOR FOR SELECT * FROM {self.target.sql} AS t WHERE {self.where.sql} FOR UPDATE'
        return query, 'FETCH at_row'

    after = ('CLOSE at_row',)

    def sql(self):
        """The statement."""
        sets = ', '.join(f'{column.sql} = {expression.sql}' for column, expression in self.assignments)
        return f'UPDATE {self.target.sql} AS t SET {sets} WHERE CURRENT OF at_row{self.returned("t.")}'

    def apply(self, state, context):
        """What has to come of it."""
        if context.now is None:
            raise Unsure
        outcome = super().apply(state, context.but(guard='off'))
        if outcome.tag != 'UPDATE 1':
            raise Unsure
        return outcome


@dataclass
class Checked(Statement):
    """orm_ext.update_checked() and delete_checked()."""

    schema: object
    row: dict                   # whose key
    version: str
    changes: list               # (Column, value), or None for delete_checked
    kind = 'checked'

    def key(self):
        """The key as the function takes it."""
        keys = self.schema.primary_key
        if len(keys) == 1:
            return str(self.row['id'])
        return quote(json.dumps({self.schema.columns[key].name: self.row[key] for key in keys})) + '::jsonb'

    def sql(self):
        """The statement."""
        version = quote(self.version) if self.version is not None else 'NULL'
        if self.changes is None:
            return f"SELECT orm_ext.delete_checked('t', {self.key()}, {version})"
        changes = json.dumps({column.name: value for column, value in self.changes})
        return f"SELECT orm_ext.update_checked('t', {self.key()}, {version}, {quote(changes)})"

    def apply(self, state, context):
        """What has to come of it."""
        if self.version is None or context.bypass or context.replica or context.guard != 'off' or context.expected:
            raise Unsure
        row = state.rows.get(self.row['id'])
        if row is None or (self.schema.soft and row['deleted'] is not None) \
                or (self.schema.kind == 'partitioned' and row['region'] != self.row['region']):
            raise SqlError(context.stale)
        if self.schema.kind == 'inheritance' and row['leaf'] != 't':
            raise Unsure
        version = self.schema.by_role('version')
        failures = Failures()
        if row['version'] is None or version.type.text(row['version']) != self.version:
            failures.add(context.stale)
        context = context.but(expected=self.version)
        if self.changes is None:
            changes = failures.run(lambda: deleted_row(self.schema, row, context))
            failures.finish()
            return Outcome(state.with_rows(changes), 'SELECT 1', answer=[row])
        new = dict(row, **{column.key: value for column, value in self.changes})
        listed = {column.key for column, _ in self.changes}
        leaf = self.schema.leaves[row['leaf']]
        new = failures.run(lambda: leaf.update(self.schema, row, new, listed, context))
        failures.finish()
        return Outcome(state.with_rows({row['id']: new}), 'SELECT 1', answer=[new])
