"""DELETE in all its forms, and what an application says instead; the twin really deletes."""

from .model import GROUPS, HOLDING, LIVE, MARKER, NOW
from .statement import Step
from .writes import assignments, sql_row, sql_value, Writes


class Deletes(Writes):
    """The part of the generator that deletes rows, and brings them back."""

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
        """A DELETE, sometimes a prepared one."""
        table = self.table()
        found = self.ids(table, 1) if self.chance(0.2) else []
        if found:
            return Step(f'EXECUTE drop_{table.name} ({found[0]})', 'execute delete', mere=table.managed, deletes=True)
        sql = self.delete_text(table, self.rng.choice(('', '', ' RETURNING x.id, x.n')))
        return Step(sql, 'delete', mere=table.managed, deletes=True)

    def delete_with(self):
        """A DELETE in WITH, and another statement."""
        one = self.table()
        # Where only one of them really deletes, it depends on the order what the server finds.
        other = self.rng.choice([table for table in self.schema.tables if table.managed == one.managed])
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
            rows += [{'id': self.new_id(), 'g': rng.choice(GROUPS)} for _ in range(rng.choice((0, 1, 2)))]
        if not rows:
            return None
        for row in rows:
            row['v'] = rng.randrange(6)
            row['r'] = (self.refer(reference) if reference else {'': None}).popitem()[1]
        update = ' UPDATE SET n = s.v'
        if reference and self.chance(0.5):
            update = f' UPDATE SET {reference.columns[0]} = s.r'
        actions, marked = [], False
        if deleting and self.chance(0.8):
            marked = table.managed and self.chance(0.25)
            actions.append(f'WHEN MATCHED AND s.v < {rng.randint(1, 6)} THEN '
                           + (f'UPDATE SET {MARKER} = {NOW[table.marker]}' if marked else 'DELETE'))
        delete = ' DELETE' if deleting else update
        actions.append(f"WHEN MATCHED THEN{rng.choice((update, update, delete, ' DO NOTHING'))}")
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

    # The marker is assigned

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
        now = NOW[table.marker]
        return Step(f'UPDATE {name} SET {MARKER} = {now} WHERE {where} AND {live}', 'mark by update',
                    twin=f'DELETE FROM {name} WHERE {where}', compare='count', deletes=True,
                    mere=now != 'clock_timestamp()')

    def mark_by_upsert(self):
        """ON CONFLICT DO UPDATE that marks rows."""
        table = self.managed()
        rows = self.live(table) if table else []
        # The twin deletes them in another order, on which it depends whether NO ACTION finds a row.
        several = 1 if any(reference.on_delete in HOLDING for reference in self.schema.references) else 3
        rows = self.some(rows, several)
        if not rows:
            return None
        values = ', '.join(sql_row(row, ('id', 'g')) for row in rows)
        return Step(f"INSERT INTO {table.name} (id, g) VALUES {values} ON CONFLICT ({', '.join(table.key)})"
                    f' DO UPDATE SET {MARKER} = {NOW[table.marker]}', 'mark by upsert',
                    twin=f"DELETE FROM {table.name} WHERE id IN ({', '.join(str(row['id']) for row in rows)})",
                    compare='count', deletes=True)

    # Deleted rows

    def restore(self):
        """The UPDATE by which an ORM brings rows back; the twin gets new rows with the same keys.

        A reference that was kept, or would have been, may be to a deleted row still: the twin's row has none.
        """
        table = self.managed()
        items = self.state.of('dead', table) if table else []
        items = [item for item in items if self.may_return(table, dict(zip(table.names, self.sides.row(item))))]
        items = self.rng.sample(items, min(len(items), self.rng.choice((1, 1, 2, 3))))
        if not items:
            return None
        rows = [dict(zip(table.names, self.sides.row(self.sides.as_acted(item, self.state, items) or item)))
                for item in items]
        values = ', '.join(sql_row(row, table.names) for row in rows)
        return Step(f"UPDATE {table.name} SET {MARKER} = {LIVE[table.marker]}"
                    f" WHERE id IN ({', '.join(str(row['id']) for row in rows)})", 'restore',
                    twin=f"INSERT INTO {table.name} ({', '.join(table.names)}) VALUES {values}", compare='count')

    def may_return(self, table, row):
        """Whether no live row has kept its reference to a deleted row, which the twin has lost for good."""
        return not any(reference.keeps and tuple(row[name] for name in reference.referenced) in self.kept(reference)
                       for reference in self.schema.into(table))

    def restamp(self):
        """Another marker for a deleted row: no transition."""
        table = self.managed()
        dead = self.dead(table) if table else []
        if not dead:
            return None
        return Step(f"UPDATE {table.name} SET {MARKER} = {NOW[table.marker]}"
                    f" WHERE id = {self.rng.choice(dead)['id']}", 'mark again', twin='SELECT', compare='state')

    def write_deleted(self):
        """Another reference of a deleted row: it may refer to a deleted one."""
        references = [one for one in self.schema.references
                      if one.child.managed and one.enforced and one.form == 'plain']
        if not references:
            return None
        reference = self.rng.choice(references)
        dead = self.dead(reference.child)
        targets = self.all_keys(reference)
        if not dead or not targets:
            return None
        values = dict(zip(reference.columns, self.rng.choice(targets)))
        return Step(f"UPDATE {reference.child.name} SET {assignments(values)}"
                    f" WHERE id = {self.rng.choice(dead)['id']} AND orm_ext.with_deleted({MARKER})",
                    'update of a deleted row', twin='SELECT', compare='state')
