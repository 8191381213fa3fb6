"""Makes up statements, each with what the twin is told instead where soft delete is spelt out."""

from .model import HOLDING, LIVE, MARKER, NOW
from .rows import Rows
from .schema import is_fixed
from .statement import Step


def sql_value(value):
    """A literal."""
    return 'NULL' if value is None else str(value)


def sql_row(row, names):
    """A row as VALUES has it."""
    return f"({', '.join(sql_value(row[name]) for name in names)})"


def assignments(values):
    """What follows SET."""
    return ', '.join(f'{name} = {sql_value(value)}' for name, value in values.items())


class Statements(Rows):
    """The generator of statements."""

    def __init__(self, rng, sides):
        super().__init__(rng, sides)
        self.level = 0
        self.savepoints = []        # that are open

    def statement(self):
        """A statement; None where the idea came to nothing."""
        rng, rows = self.rng, len(self.state.twin) / len(self.schema.tables)
        writers = (
            (self.insert, 30 if rows < 4 else 12 if rows < 9 else 5),
            (self.insert_select, 2), (self.update_reference, 9), (self.update_key, 5), (self.update_rest, 3),
            (self.delete, 14 if rows > 3 else 6), (self.delete_with, 3), (self.mark, 6), (self.upsert, 4),
            (self.mark_by_upsert, 1.5), (self.merge, 5), (self.restore, 3), (self.restamp, 0.7),
            (self.write_deleted, 0.7))
        return rng.choices([form for form, _ in writers], [weight for _, weight in writers])[0]()

    def table(self):
        """Some table."""
        return self.rng.choice(self.schema.tables)

    def managed(self):
        """Some managed table, or None."""
        tables = [table for table in self.schema.tables if table.managed]
        return self.rng.choice(tables) if tables else None

    def named(self, table):
        """The table or one of its partitions, by (name, partition)."""
        if table.leaves and self.chance(0.25):
            leaf = self.rng.choice(tuple(table.leaves))
            return leaf, leaf
        return table.name, ''

    # INSERT

    def insert(self):
        """One row or several."""
        table = self.table()
        rows = self.new_rows(table, self.rng.choice((1, 1, 1, 2, 4)))
        if not rows:
            return None
        names = table.names
        for reference in self.schema.of(table):
            if reference.own and table.column(reference.own[0]).default is not None and self.chance(0.1):
                names = [name for name in names if name not in reference.own]
        values = ', '.join(sql_row(row, names) for row in rows)
        returning = self.rng.choice(('', '', ' RETURNING id'))
        return Step(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {values}{returning}", 'insert')

    def insert_select(self):
        """A row that refers to what a query finds."""
        references = [one for one in self.schema.references if one.of_twin and len(one.columns) == 1
                      and one.form == 'plain' and not self.has_owner(one.child)]
        if not references:
            return None
        reference = self.rng.choice(references)
        found = self.ids(reference.parent)
        if not found:
            return None
        name, column = reference.columns[0], reference.referenced[0]
        sql = (f"INSERT INTO {reference.child.name} (id, g, n, {name}) SELECT {self.new_id()},"
               f" {self.rng.choice((1, 2, 3))}, x.n, x.{column} FROM {reference.parent.name} AS x WHERE x.id = {found[0]}")
        return Step(sql, 'insert select')

    def has_owner(self, table):
        """Whether ids of a table are those of another one."""
        return any(reference.form == 'owner' for reference in self.schema.of(table))

    # UPDATE

    def update_reference(self):
        """Another reference, or several."""
        table = self.table()
        references = [one for one in self.schema.of(table) if one.form != 'owner']
        rows = self.live(table)
        if not references or not rows:
            return None
        chosen = self.rng.sample(references, min(len(references), self.rng.choice((1, 1, 2))))
        row = self.rng.choice(rows)
        values = {}
        for reference in chosen:
            values.update(self.refer(reference, (), row['g'], 0.06))
        if any(reference.form == 'tenant' for reference in chosen) or self.chance(0.6):
            where = f"id = {row['id']}"
        else:
            where = self.condition(table, 'x.')
        if self.chance(0.2):
            values['n'] = self.rng.randrange(6)
        returning = self.rng.choice(('', '', ' RETURNING x.id'))
        return Step(f'UPDATE {table.name} AS x SET {assignments(values)} WHERE {where}{returning}', 'update reference')

    def update_key(self):
        """Another key of a row."""
        table = self.table()
        rows = self.live(table)
        if not rows:
            return None
        row = self.rng.choice(rows)
        values = {}
        if not self.has_owner(table) and self.chance(0.6):
            values['id'] = self.new_id()
        if 'code' in row and self.chance(0.6):
            values['code'] = self.new_id()
        if not is_fixed(self.schema, table) and self.chance(0.5):
            values['g'] = self.rng.choice((1, 2, 3))
        if not values or not self.may_change(table, row, values):
            return None
        return Step(f"UPDATE {table.name} SET {assignments(values)} WHERE id = {row['id']}", 'update key')

    def update_rest(self):
        """Nothing that a foreign key cares for."""
        table = self.table()
        name, leaf = self.named(table)
        references = [one for one in self.schema.of(table) if not leaf]
        if references and self.chance(0.3):
            reference = self.rng.choice(references)
            joined = ' AND '.join(f'x.{column} = y.{target}'
                                  for column, target in zip(reference.columns, reference.referenced))
            return Step(f'UPDATE {name} AS x SET n = y.n FROM {reference.parent.name} AS y'
                        f' WHERE {joined} AND x.id > 0 AND y.id > 0', 'update')
        return Step(f"UPDATE {name} AS x SET n = {self.rng.randrange(6)} WHERE {self.condition(table, 'x.', leaf)}",
                    'update')

    # DELETE

    def condition(self, table, alias='', leaf=''):
        """A condition that picks the same rows on both sides, and never the rock."""
        rng = self.rng
        form = rng.choices(('ids', 'n', 'less', 'reference', 'group', 'all', 'dead'), (10, 4, 2, 4, 1, 0.7, 0.7))[0]
        if form == 'reference':
            references = [one for one in self.schema.of(table) if len(one.columns) == 1]
            if references:
                reference = rng.choice(references)
                target = self.target_that_lives(reference)
                if target is not None:
                    return f'{alias}{reference.columns[0]} = {target} AND {alias}id > 0'
            form = 'ids'
        if form == 'ids':
            found = self.ids(table, 4, leaf)
            return f'{alias}id = {found[0]}' if len(found) == 1 else \
                f"{alias}id IN ({', '.join(map(str, found or [-1]))})"
        if form == 'dead':
            dead = self.dead(table)
            return f"{alias}id = {rng.choice(dead)['id'] if dead else -1}"
        if form == 'all':
            return f'{alias}id > 0'
        if form == 'group':
            return f'{alias}g = {rng.choice((1, 2, 3))} AND {alias}id > 0'
        return f"{alias}n {'=' if form == 'n' else '<'} {rng.randrange(6)} AND {alias}id > 0"

    def target_that_lives(self, reference):
        """The key of a live row that a reference may name."""
        name = reference.referenced[0]
        values = [row[name] for row in self.live(reference.parent) if row[name] is not None]
        return self.rng.choice(values) if values else None

    def delete_text(self, table, returning=''):
        """A DELETE without its end; joins find rows in whatever order."""
        name, leaf = self.named(table)
        form = self.rng.choices(('where', 'using', 'exists'), (10, 2, 2))[0]
        references = [one for one in self.schema.references if one.of_twin]
        if form == 'using':
            some = [one for one in references if one.child is table]
            if some:
                one = self.rng.choice(some)
                joined = ' AND '.join(f'x.{a} = y.{b}' for a, b in zip(one.columns, one.referenced))
                return (f'DELETE FROM {name} AS x USING {one.parent.name} AS y WHERE {joined} AND x.id > 0'
                        f" AND y.id > 0 AND {self.condition(one.parent, 'y.')}{returning}")
        if form == 'exists':
            some = [one for one in references if one.parent is table]
            if some:
                one = self.rng.choice(some)
                joined = ' AND '.join(f'y.{a} = x.{b}' for a, b in zip(one.columns, one.referenced))
                word = self.rng.choice(('EXISTS', 'NOT EXISTS'))
                return (f'DELETE FROM {name} AS x WHERE {word} (SELECT FROM {one.child.name} AS y WHERE {joined})'
                        f" AND {self.condition(table, 'x.', leaf)}{returning}")
        return f"DELETE FROM {name} AS x WHERE {self.condition(table, 'x.', leaf)}{returning}"

    def delete(self):
        """A DELETE."""
        table = self.table()
        sql = self.delete_text(table, self.rng.choice(('', '', ' RETURNING x.id, x.n')))
        return Step(sql, 'delete', mere=table.managed, deletes=True)

    def delete_with(self):
        """A DELETE in WITH, and another statement."""
        one, other = self.table(), self.table()
        first = self.delete_text(one, ' RETURNING x.id, x.n')
        form = self.rng.choice(('select', 'delete', 'update', 'insert'))
        mere = one.managed
        if form == 'select':
            rest = 'SELECT id, n FROM d'
        elif form == 'delete':
            rest, mere = self.delete_text(other), mere and other.managed
        elif form == 'update':
            rest, mere = f"UPDATE {other.name} AS x SET n = 9 WHERE {self.condition(other, 'x.')}", False
        else:
            row, mere = self.new_row(other), False
            if not row or self.has_owner(other):
                return None
            # Checks of references and cascades take turns in the server.
            row.update((name, None) for reference in self.schema.of(other) for name in reference.own)
            rest = f"INSERT INTO {other.name} ({', '.join(row)}) VALUES {sql_row(row, row)}"
        return Step(f'WITH d AS ({first}) {rest}', f'delete in with, {form}', mere=mere, deletes=True)

    def mark(self):
        """The UPDATE by which an ORM deletes."""
        table = self.managed()
        return self.mark_of(table) if table else None

    def mark_of(self, table):
        """The UPDATE for a table."""
        name, leaf = self.named(table)
        found = self.ids(table, 4, leaf)
        where = f"id IN ({', '.join(map(str, found or [-1]))})"
        if self.chance(0.3):
            where = f'n = {self.rng.randrange(6)} AND id > 0'
        live = f"{MARKER} IS NULL" if LIVE[table.marker] == 'NULL' else f'{MARKER} = {LIVE[table.marker]}'
        return Step(f'UPDATE {name} SET {MARKER} = {NOW[table.marker]} WHERE {where} AND {live}', 'mark by update',
                    twin=f'DELETE FROM {name} WHERE {where}', compare='count', mere=NOW[table.marker] != 'clock_timestamp()', deletes=True)

    # Both ways at once

    def upsert(self):
        """ON CONFLICT with rows that are there and rows that are not."""
        table = self.table()
        rows = self.new_rows(table, 2) + self.rng.sample(self.live(table), min(len(self.live(table)), self.rng.choice((1, 1, 2))))
        rows = [dict(row) for row in rows]
        if not rows:
            return None
        for row in rows:
            row['n'] = self.rng.randrange(6)
            for reference in self.schema.of(table):
                if reference.form != 'owner':
                    row.update(self.refer(reference, (), row['g'], 0.02))
        self.rng.shuffle(rows)
        names = table.names
        action = 'NOTHING'
        if self.chance(0.85):
            sets = ['n = excluded.n']
            references = [one for one in self.schema.of(table) if one.own]
            if references and self.chance(0.7):
                sets += [f'{name} = excluded.{name}' for name in self.rng.choice(references).own]
            action = f"UPDATE SET {', '.join(sets)}" + self.rng.choice(('', '', ' WHERE excluded.n > 1'))
        values = ', '.join(sql_row(row, names) for row in rows)
        return Step(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {values}"
                    f" ON CONFLICT ({', '.join(table.key)}) DO {action}", 'upsert')

    def mark_by_upsert(self):
        """ON CONFLICT DO UPDATE that marks rows."""
        table = self.managed()
        rows = self.live(table) if table else []
        # The twin deletes them in another order, on which it depends whether NO ACTION finds a row.
        several = 1 if any(reference.on_delete in HOLDING for reference in self.schema.references) else 3
        rows = self.rng.sample(rows, min(len(rows), several))
        if not rows:
            return None
        values = ', '.join(sql_row(row, ('id', 'g')) for row in rows)
        return Step(f"INSERT INTO {table.name} (id, g) VALUES {values} ON CONFLICT ({', '.join(table.key)})"
                    f' DO UPDATE SET {MARKER} = {NOW[table.marker]}', 'mark by upsert',
                    twin=f"DELETE FROM {table.name} WHERE id IN ({', '.join(str(row['id']) for row in rows)})",
                    compare='count', deletes=True)

    def merge(self):
        """MERGE that deletes, updates and inserts.

        One that deletes makes no references: in the server their checks and the cascades take turns.
        """
        rng, table = self.rng, self.table()
        deleting = self.chance(0.7)
        references = [one for one in self.schema.of(table) if one.form == 'plain' and len(one.columns) == 1]
        reference = rng.choice(references) if references and not deleting else None
        rows = [{'id': found, 'g': 1} for found in self.ids(table, 4)]
        if not self.has_owner(table):
            rows += [{'id': self.new_id(), 'g': rng.choice((1, 2, 3))} for _ in range(rng.choice((0, 1, 2)))]
        if not rows:
            return None
        for row in rows:
            row['v'] = rng.randrange(6)
            row['r'] = (self.refer(reference) if reference else {'': None}).popitem()[1]
        update = f' UPDATE SET {reference.columns[0]} = s.r' if reference and self.chance(0.5) else ' UPDATE SET n = s.v'
        actions, marked = [], False
        if deleting and self.chance(0.8):
            marked = table.managed and self.chance(0.25)
            actions.append(f'WHEN MATCHED AND s.v < {rng.randint(1, 6)} THEN '
                           + (f'UPDATE SET {MARKER} = {NOW[table.marker]}' if marked else 'DELETE'))
        actions.append(f'WHEN MATCHED THEN{rng.choice((update, update, " DELETE" * deleting or update, " DO NOTHING"))}')
        if self.chance(0.8):
            names, values = ['id', 'g', 'n'], 's.id, s.g, s.v'
            if reference and self.chance(0.7):
                names.append(reference.columns[0])
                values += ', s.r'
            actions.append(f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) VALUES ({values})")
        values = ', '.join(f"({row['id']}, {row['g']}, {row['v']}, {sql_value(row['r'])}::bigint)" for row in rows)
        sql = (f"MERGE INTO {table.name} AS x USING (VALUES {values}) AS s(id, g, v, r) ON x.id = s.id"
               f" {' '.join(actions)}")
        twin = sql.replace(f'UPDATE SET {MARKER} = {NOW[table.marker]}', 'DELETE') if marked else ''
        return Step(sql, 'merge', twin=twin, deletes=deleting)

    # Deleted rows

    def restore(self):
        """The UPDATE by which an ORM brings rows back; the twin gets new rows with the same keys."""
        table = self.managed()
        rows = [row for row in self.dead(table) if self.may_return(table, row)] if table else []
        rows = self.rng.sample(rows, min(len(rows), self.rng.choice((1, 1, 2, 3))))
        if not rows:
            return None
        values = ', '.join(sql_row(row, table.names) for row in rows)
        return Step(f"UPDATE {table.name} SET {MARKER} = {LIVE[table.marker]}"
                    f" WHERE id IN ({', '.join(str(row['id']) for row in rows)})", 'restore',
                    twin=f"INSERT INTO {table.name} ({', '.join(table.names)}) VALUES {values}", compare='count')

    def may_return(self, table, row):
        """Whether a deleted row can come back without the sides drifting apart.

        It cannot where a live row has kept its reference to it, which the twin has lost; nor where the
        row itself refers to a deleted one by a key that SET NULL would have cut, but is only checked later.
        """
        for reference in self.schema.into(table):
            key = tuple(row[name] for name in reference.referenced)
            if reference.keeps and key in self.kept(reference):
                return False
        for reference in self.schema.of(table):
            key = tuple(row[name] for name in reference.columns)
            if reference.keeps and reference.deferrable and None not in key \
                    and key not in self.keys_of(reference.parent, reference.referenced):
                return False
        return True

    def keys_of(self, table, names):
        """Keys of live rows."""
        return self.sides.keys(self.state.of('live', table), table, names)

    def restamp(self):
        """Another marker for a deleted row: no transition."""
        table = self.managed()
        dead = self.dead(table) if table else []
        if not dead:
            return None
        return Step(f"UPDATE {table.name} SET {MARKER} = {NOW[table.marker]} WHERE id = {self.rng.choice(dead)['id']}",
                    'mark again', twin='SELECT', compare='state')

    def write_deleted(self):
        """Another reference of a deleted row: it may refer to a deleted one."""
        references = [one for one in self.schema.references if one.child.managed and one.enforced and one.form == 'plain']
        if not references:
            return None
        reference = self.rng.choice(references)
        dead = self.dead(reference.child)
        # What a live row has kept its reference to may be taken for something new.
        kept = {key for other in self.schema.references if other.keeps and other.parent is reference.parent
                and other.referenced == reference.referenced for key in self.kept(other)}
        targets = [key for key in self.all_keys(reference) if key not in kept]
        if not dead or not targets:
            return None
        values = dict(zip(reference.columns, self.rng.choice(targets)))
        return Step(f"UPDATE {reference.child.name} SET {assignments(values)}"
                    f" WHERE id = {self.rng.choice(dead)['id']} AND orm_ext.with_deleted({MARKER})", 'update of a deleted row',
                    twin='SELECT', compare='state')

    # The frame

    def control(self):
        """SAVEPOINT, ROLLBACK TO, RELEASE or SET CONSTRAINTS."""
        form = self.rng.choice(('savepoint', 'rollback', 'rollback', 'release', 'constraints', 'constraints'))
        if form == 'constraints':
            return self.set_constraints()
        if form == 'savepoint' or not self.savepoints:
            self.level += 1
            self.savepoints.append(f's{self.level}')
            return Step(f'SAVEPOINT s{self.level}', 'savepoint', frame=True)
        at = self.rng.randrange(len(self.savepoints))
        name = self.savepoints[at]
        if form == 'release':
            del self.savepoints[at:]
            return Step(f'RELEASE {name}', 'release', frame=True)
        del self.savepoints[at + 1:]
        return Step(f'ROLLBACK TO {name}', 'rollback to', frame=True)

    def is_dangling(self):
        """Whether a deleted row refers to nothing at all, which is soon to be checked.

        The twin has forgotten the row.  In a table it may not stay like that, for a dump could not be restored.
        """
        for reference in self.schema.references:
            if reference.deferrable and reference.of_twin and reference.child.managed:
                there = set(self.all_keys(reference))
                for row in self.dead(reference.child):
                    key = tuple(row[name] for name in reference.columns)
                    if None not in key and key not in there:
                        return True
        return False

    def set_constraints(self):
        """Now, or later."""
        when = self.rng.choice(('DEFERRED', 'DEFERRED', 'IMMEDIATE'))
        if when == 'IMMEDIATE' and self.is_dangling():
            return None
        names = [one.name for one in self.schema.references if one.deferrable and one.of_twin]
        if not names or self.chance(0.4):
            return Step(f'SET CONSTRAINTS ALL {when}', 'set constraints')
        chosen = self.rng.sample(names, self.rng.randint(1, min(2, len(names))))
        return Step(f"SET CONSTRAINTS {', '.join(chosen)} {when}", 'set constraints')
