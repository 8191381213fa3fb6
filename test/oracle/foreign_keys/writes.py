"""INSERT and UPDATE: statements that are the same on both sides, and the conditions that pick rows."""

from .model import GROUPS
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


class Writes(Rows):
    """The part of the generator that writes rows without deleting any."""

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

    def has_owner(self, table):
        """Whether ids of a table are those of another one."""
        return any(reference.form == 'owner' for reference in self.schema.of(table))

    # Conditions

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
            return f'{alias}g = {rng.choice(GROUPS)} AND {alias}id > 0'
        return f"{alias}n {'=' if form == 'n' else '<'} {rng.randrange(6)} AND {alias}id > 0"

    def target_that_lives(self, reference):
        """The key of a live row that a reference may name."""
        name = reference.referenced[0]
        values = [row[name] for row in self.live(reference.parent) if row[name] is not None]
        return self.rng.choice(values) if values else None

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
        sql = (f"INSERT INTO {reference.child.name} (id, g, n, {name})"
               f" SELECT {self.new_id()}, {self.rng.choice(GROUPS)}, x.n, x.{column}"
               f" FROM {reference.parent.name} AS x WHERE x.id = {found[0]}")
        return Step(sql, 'insert select')

    def upsert(self):
        """ON CONFLICT with rows that are there and rows that are not."""
        table = self.table()
        rows = self.new_rows(table, 2) + self.some(self.live(table), 2)
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
        return Step(f'UPDATE {table.name} AS x SET {assignments(values)} WHERE {where}{returning}',
                    'update reference')

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
            values['g'] = self.rng.choice(GROUPS)
        item = next(item for item in self.state.of('twin', table)
                    if self.sides.row(item)[table.at('id')] == row['id'])
        if not values or not self.may_move(table, item) or not self.may_change(table, row, values):
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
