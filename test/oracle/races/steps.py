"""What two sessions do at the same time: tables with foreign keys, and transactions on them."""

from dataclasses import dataclass

LEVELS = ('READ COMMITTED', 'READ COMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
PARENTS = (1, 1, 1, 1, 2, 3)   # the first one is much in demand
MOVING_PARENT = 4           # gets another key; no row that goes refers to it, which would be in the way
GONE_PARENT = 9             # is deleted before the sessions begin
ACTIONS = ('ON DELETE CASCADE', 'ON DELETE CASCADE', 'ON DELETE CASCADE', 'ON DELETE RESTRICT', '', 'DEFERRABLE',
           'DEFERRABLE INITIALLY DEFERRED', 'ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED')
LOCKS = ('FOR KEY SHARE', 'FOR SHARE', 'FOR NO KEY UPDATE', 'FOR UPDATE', 'FOR UPDATE NOWAIT',
         'FOR KEY SHARE SKIP LOCKED')
SET_CONSTRAINTS = ('SET CONSTRAINTS ALL DEFERRED', 'SET CONSTRAINTS ALL IMMEDIATE')


@dataclass
class Table:
    """One table, and the one that it refers to."""

    name: str
    refers_to: str = ''
    action: str = ''
    partitioned: bool = False
    rows: tuple = ()            # (id, up)
    gone: tuple = ()            # the same, deleted before the sessions begin

    def create(self):
        """The statements that make it."""
        reference = f' REFERENCES {self.refers_to} {self.action}' if self.refers_to else ''
        yield (f'CREATE TABLE {self.name} (id int PRIMARY KEY, up int{reference}, v int NOT NULL DEFAULT 0,'
               f" deleted_at timestamptz){' PARTITION BY HASH (id)' if self.partitioned else ''}")
        if self.partitioned:
            for part in (0, 1):
                yield (f'CREATE TABLE {self.name}_{part} PARTITION OF {self.name}'
                       f' FOR VALUES WITH (MODULUS 2, REMAINDER {part})')
        if self.refers_to:
            yield f'CREATE INDEX ON {self.name} (up)'

    def fill(self):
        """The statement that has the rows in it, those to be deleted too."""
        values = ', '.join(f"({key}, {'NULL' if up is None else up})" for key, up in self.rows + self.gone)
        return f'INSERT INTO {self.name} VALUES {values}'


@dataclass
class Step:
    """One statement of a session, as it is for tables under soft delete and for plain ones."""

    session: int
    kind: str
    soft: str
    twin: str


def tables(rng):
    """Parents, children of each kind, and children's children."""
    made = [Table('parent', partitioned=rng.random() < 0.2,
                  rows=tuple((key, None) for key in sorted({*PARENTS, MOVING_PARENT})),
                  gone=((GONE_PARENT, None),))]
    for number, name in enumerate(('child', 'other')):
        base = 10 * (number + 1)
        rows = tuple((base + key, rng.choice(PARENTS)) for key in range(1, 4))
        gone = ((base + 8, rng.choice((1, 2))), (base + 9, GONE_PARENT))
        made.append(Table(name, 'parent', rng.choice(ACTIONS), rng.random() < 0.2, rows, gone))
    rows = tuple((30 + key, rng.choice((11, 12, 13))) for key in range(1, 4))
    made.append(Table('below', 'child', rng.choice(ACTIONS), False, rows, ((39, rng.choice((11, 18))),)))
    return made


class Steps:
    """Makes the transactions of one item."""

    def __init__(self, rng, made):
        self.rng = rng
        self.tables = {table.name: table for table in made}
        self.fresh = 50
        self.returned = set()   # rows that some session brings back: once only, the twin has them inserted

    def transactions(self):
        """Steps of both sessions, in the order in which they are to begin."""
        queues = []
        for session in (0, 1):
            queue = [self.step(session, 'begin', f'BEGIN ISOLATION LEVEL {self.rng.choice(LEVELS)}')]
            if self.rng.random() < 0.5:
                # The snapshot is taken before the other one begins to write.
                queue.append(self.step(session, 'look', 'SELECT count(*) FROM parent WHERE id = 1'))
            if self.rng.random() < 0.1:
                queue.append(self.step(session, 'constraints', self.rng.choice(SET_CONSTRAINTS)))
            for _ in range(self.rng.choice((1, 2, 2, 3))):
                queue += self.statement(session)
            queue.append(self.step(session, 'end', self.rng.choice(('COMMIT', 'COMMIT', 'COMMIT', 'ROLLBACK'))))
            queues.append(queue)
        order = []
        while any(queues):
            queue = self.rng.choice([queue for queue in queues if queue])
            order.append(queue.pop(0))
        return order

    def statement(self, session):
        """One statement, sometimes between SAVEPOINT and what ends it."""
        kind = self.rng.choice(('delete parent', 'delete parent', 'delete parent', 'delete', 'insert', 'insert',
                                'refer', 'change', 'change parent', 'lock', 'back', 'back parent', 'key'))
        steps = [getattr(self, kind.replace(' ', '_'))(session)]
        if self.rng.random() < 0.15:
            end = self.rng.choice(('ROLLBACK TO s', 'RELEASE s'))
            steps = [self.step(session, 'savepoint', 'SAVEPOINT s'), *steps, self.step(session, 'savepoint', end)]
        return [step for step in steps if step]

    @staticmethod
    def step(session, kind, soft, twin=None):
        """A step; what the twin is told is the same unless it says so."""
        return Step(session, kind, soft, twin or soft)

    def row(self, name):
        """The id of a live row, as far as can be known."""
        if name == 'parent':
            return self.rng.choice(PARENTS)
        rows = self.tables[name].rows
        return self.rng.choice(rows + 2 * rows[:1])[0]

    def delete_of(self, session, kind, name, row):
        """A DELETE in one of its forms."""
        delete = f'DELETE FROM {name} WHERE id = {row}'
        merge = f'MERGE INTO {name} USING (SELECT 1) AS one ON id = {row} WHEN MATCHED'
        form = self.rng.randrange(8)
        if form == 1:
            return self.step(session, kind,
                             f'UPDATE {name} SET deleted_at = now() WHERE id = {row} AND deleted_at IS NULL', delete)
        if form == 2:
            return self.step(session, kind, f'{merge} THEN DELETE')
        if form == 3:
            return self.step(session, kind, f'WITH gone AS ({delete} RETURNING id) SELECT id FROM gone')
        if form == 4:
            return self.step(session, kind, f'{merge} AND deleted_at IS NULL THEN UPDATE SET deleted_at = now()',
                             f'{merge} THEN DELETE')
        if form == 5:
            return self.step(session, kind,
                             f'INSERT INTO {name} (id, deleted_at) VALUES ({row}, now()) ON CONFLICT (id) DO UPDATE'
                             f' SET deleted_at = excluded.deleted_at WHERE {name}.deleted_at IS NULL', delete)
        return self.step(session, kind, delete)

    def delete_parent(self, session):
        """A row goes that others may refer to."""
        return self.delete_of(session, 'delete parent', 'parent', self.row('parent'))

    def delete(self, session):
        """A row goes that refers to one."""
        name = self.rng.choice(('child', 'other', 'below'))
        return self.delete_of(session, 'delete', name, self.row(name))

    def reference(self, name):
        """A value for a reference."""
        target = self.tables[name].refers_to
        if self.rng.random() < 0.1:
            return GONE_PARENT if target == 'parent' else 18
        return self.row(target)

    def insert(self, session):
        """A new reference."""
        name = self.rng.choice(('child', 'child', 'other', 'below'))
        self.fresh += 1
        up = self.reference(name)
        if self.tables[name].refers_to == 'parent' and self.rng.random() < 0.15:
            up = MOVING_PARENT
        return self.step(session, 'insert', f'INSERT INTO {name} VALUES ({self.fresh}, {up})')

    def refer(self, session):
        """A changed reference."""
        name = self.rng.choice(('child', 'other', 'below'))
        return self.step(session, 'refer', f'UPDATE {name} SET up = {self.reference(name)} WHERE id = {self.row(name)}')

    def change(self, session):
        """A change of something else in a row that refers."""
        name = self.rng.choice(('child', 'other', 'below'))
        return self.step(session, 'change', f'UPDATE {name} SET v = v + 1 WHERE id = {self.row(name)}')

    def change_parent(self, session):
        """A change of something else in a row that is referred to."""
        return self.step(session, 'change parent', f"UPDATE parent SET v = v + 1 WHERE id = {self.row('parent')}")

    def lock(self, session):
        """A row lock."""
        name = self.rng.choice(('parent', 'parent', 'child'))
        return self.step(session, 'lock', f'SELECT id FROM {name} WHERE id = {self.row(name)} {self.rng.choice(LOCKS)}')

    def key(self, session):
        """A change of a key."""
        self.fresh += 1
        return self.step(session, 'key', f'UPDATE parent SET id = {self.fresh} WHERE id = {MOVING_PARENT}')

    def bring_back(self, session, kind, name):
        """A row comes back; in the twin it is inserted anew."""
        free = [row for row in self.tables[name].gone if (name, row) not in self.returned]
        if not free:
            return None
        row = self.rng.choice(free)
        self.returned.add((name, row))
        return self.step(session, kind,
                         f'UPDATE {name} SET deleted_at = NULL WHERE id = {row[0]} AND deleted_at IS NOT NULL',
                         f"INSERT INTO {name} VALUES ({row[0]}, {'NULL' if row[1] is None else row[1]})")

    def back(self, session):
        """A row comes back that refers to one."""
        return self.bring_back(session, 'back', self.rng.choice(('child', 'other', 'below')))

    def back_parent(self, session):
        """A row comes back that may be referred to."""
        return self.bring_back(session, 'back parent', 'parent')
