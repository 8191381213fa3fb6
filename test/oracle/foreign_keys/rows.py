"""Picks rows, keys and references so that statements mean the same on both sides.

A key is never used twice, for a deleted row keeps its own.  References are to live rows, to none, to
rows that are still to come, and now and then to deleted ones or to nothing, which has to be refused.
"""

from .model import GROUPS, HOLDING, KEEPING


class Rows:
    """What the generator knows of rows at a moment."""

    def __init__(self, rng, sides):
        self.rng = rng
        self.sides = sides
        self.schema = sides.schema
        self.state = None
        self.fresh = 0              # the last id that was used
        self.promised = {}          # table → ids that were referred to before they are there

    def chance(self, probability):
        """True that often."""
        return self.rng.random() < probability

    def new_id(self):
        """An id that no row of the schema ever had."""
        self.fresh += 1
        return self.fresh

    def live(self, table, leaf=''):
        """Live rows but for the rock, as dicts with what both sides have."""
        at = table.at('id')
        rows = [self.sides.row(item) for item in self.state.of('twin', table) if not leaf or item[1] == leaf]
        return [dict(zip(table.names, row)) for row in rows if row[at]]

    def everyone(self, table, leaf=''):
        """All rows of a table, deleted ones included, as the soft side has them."""
        items = self.state.of('live', table) + self.state.of('dead', table)
        return [dict(zip(table.names, self.sides.row(item))) for item in items if not leaf or item[1] == leaf]

    def all_keys(self, reference):
        """What a reference may name as far as the server is concerned."""
        rows = self.everyone(reference.parent, reference.parent_leaf)
        keys = [tuple(row[name] for name in reference.referenced) for row in rows]
        return [key for key in keys if None not in key]

    def dead(self, table):
        """Deleted rows, as dicts."""
        return [dict(zip(table.names, self.sides.row(item))) for item in self.state.of('dead', table)]

    def some(self, rows, most):
        """Copies of a few rows, mostly of one, of none where there are none."""
        return [dict(row) for row in self.rng.sample(rows, min(len(rows), self.rng.choice((1, 1, 1, 2, most)), most))]

    def ids(self, table, most=3, leaf=''):
        """Ids of some live rows."""
        return sorted(row['id'] for row in self.some(self.live(table, leaf), most))

    def free_keys(self, reference):
        """The same without deleted rows to which live ones refer: they may be taken for those that are checked."""
        taken = {item for other in self.schema.into(reference.parent)
                 for item in self.state.of('dead', reference.parent)
                 if self.sides.keys([item], reference.parent, other.referenced)[0] in self.kept(other)}
        rows = self.sides.keys(taken, reference.parent, reference.referenced)
        return [key for key in self.all_keys(reference) if key not in rows]

    # References

    def kept(self, reference):
        """What live rows refer to."""
        return self.sides.keys(self.state.of('live', reference.child), reference.child, reference.columns)

    def target(self, reference, local=(), group=None):
        """Values for the columns of a reference, by column; None where there is nothing to refer to."""
        rng, names = self.rng, reference.referenced
        if not reference.of_twin:
            # Nobody checks it but the server, on one side, who counts every row that is there.
            keys = self.free_keys(reference)
        else:
            leaf = reference.parent_leaf if self.chance(0.95) else ''
            keys = [tuple(row[name] for name in names) for row in [*self.live(reference.parent, leaf), *local]]
        if group is not None:
            keys = [key for key in keys if key[names.index('g')] == group]
        keys = [key for key in keys if None not in key]
        return dict(zip(reference.columns, rng.choice(keys))) if keys else None

    def wrong_target(self, reference, group):
        """A reference to a deleted row, or to one that is not there."""
        names, dead = reference.referenced, []
        # One that is only checked later would already count as what SET NULL makes of it.
        if not (reference.on_delete in KEEPING and reference.deferrable):
            dead = [tuple(row[name] for name in names) for row in self.dead(reference.parent)]
            # Where a row has kept its reference to a deleted one, naming that one again changes nothing.
            kept = self.kept(reference) if reference.keeps else ()
            dead = [key for key in dead if None not in key and (group is None or key[names.index('g')] == group)
                    and key not in kept]
        if dead and self.chance(0.7):
            return dict(zip(reference.columns, self.rng.choice(dead)))
        key = {name: self.rng.choice(GROUPS) if name == 'g' else self.new_id() for name in names}
        if group is not None:
            key['g'] = group
        if 'id' in names and reference.deferrable:
            self.promised.setdefault(reference.parent.name, []).append(key)
        return dict(zip(reference.columns, (key[name] for name in names)))

    def no_target(self, reference):
        """No reference; seldom one that is half null."""
        values = dict.fromkeys(reference.own)
        if reference.form == 'plain' and len(values) > 1 and reference.of_twin and self.chance(0.15):
            some = self.target(reference)
            if some:
                name = self.rng.choice(reference.own)
                values[name] = some[name]
        return values

    def refer(self, reference, local=(), group=None, wrong=0.04):
        """Values for the columns that are the reference's alone; None where there is nothing to refer to."""
        group = group if reference.form == 'tenant' else None
        if reference.of_twin and self.chance(wrong * (4 if reference.deferrable else 1)):
            values = self.wrong_target(reference, group)
        elif reference.form != 'owner' and self.chance(0.15):
            values = self.no_target(reference)
        else:
            values = self.target(reference, local, group)
            if values is None and reference.form != 'owner':
                values = self.no_target(reference)
        if values is None:
            return None
        return {name: value for name, value in values.items() if name in reference.own or reference.form == 'owner'}

    # Rows

    def new_row(self, table, local=()):
        """A row that is not there yet; None where there is nothing that it could belong to."""
        row = {**dict.fromkeys(table.names), 'g': self.rng.choice(GROUPS), 'n': self.rng.randrange(6)}
        owner = next((one for one in self.schema.of(table) if one.form == 'owner'), None)
        if owner:
            values = self.refer(owner)
            if not values or any(other['id'] == values['id'] for other in [*self.everyone(table), *local]):
                return None
            row['id'] = values['id']
        else:
            row['id'] = self.new_id()
            promised = self.promised.get(table.name)
            if promised and self.chance(0.7):
                row.update(promised.pop())
        if 'code' in table.names:
            row['code'] = self.new_id() if self.chance(0.85) else None
        for reference in self.schema.of(table):
            if reference.form != 'owner':
                own = [row] if reference.parent is table and self.chance(0.2) else ()
                near = [*local, *own] if reference.parent is table else ()
                row.update(self.refer(reference, [one for one in near if None not in
                                                  (one.get(name) for name in reference.referenced)], row['g']))
        return row

    def new_rows(self, table, most):
        """Rows for one INSERT; they may refer to each other."""
        rows = []
        for _ in range(self.rng.randint(1, most)):
            row = self.new_row(table, rows)
            if row:
                rows.append(row)
        return rows

    # Keys that change

    def may_move(self, table, item):
        """Whether a row may go to another partition.

        A limit: one that has kept its reference may not, if one of the partitions has a foreign key for itself.
        """
        return item in self.state.dead or item in self.state.live & self.state.twin or not any(
            reference.child_leaf for reference in self.schema.of(table))

    def may_change(self, table, row, names):
        """Whether the server lets a row change some columns on both sides: it counts deleted rows, too."""
        names = set(names)
        for reference in self.schema.into(table):
            if not names & set(reference.referenced):
                continue
            if not reference.of_twin:
                return False
            key = tuple(row[name] for name in reference.referenced)
            for group in ('live', 'dead'):
                items = self.state.of(group, reference.child)
                for item, values in zip(items, self.sides.keys(items, reference.child, reference.columns)):
                    if values != key or reference.child_leaf not in ('', item[1]):
                        continue
                    other = dict(zip(reference.child.names, self.sides.row(item)))
                    # Where a partition itself is referred to, a row that leaves it is deleted.
                    held = reference.on_update in HOLDING or reference.parent_leaf and reference.on_delete in HOLDING
                    if held or group == 'live' and reference.on_update in KEEPING:
                        if item not in self.state.twin:
                            return False
                    elif reference.on_update == 'CASCADE' and not (
                            self.may_move(reference.child, item)
                            and self.may_change(reference.child, other, set(reference.columns))):
                        return False
        return True
