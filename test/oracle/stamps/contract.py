"""The rules for versions and stamps, written down independently of the extension.

A trigger has insert, update and delete; each takes rows as dicts by column key and returns the row
to be stored, or raises SqlError.  `Table.write` and friends run all of them in the order of their
names, as the server does.
"""

from dataclasses import dataclass, field, replace

from . import types
from .types import SqlError, Unsure, ZONES
from .unknown import Change, differ, Moment, OneOf, same, Token, UNKNOWN


@dataclass(frozen=True)
class Context:
    """What a statement runs under."""

    now: int = None             # of the transaction, where it is known
    actor: str = ''
    expected: str = ''
    bypass: bool = False
    stale: str = 'OE001'
    guard: str = 'off'
    zone: str = 'UTC'
    role: str = 'postgres'
    session: str = 'postgres'
    replica: bool = False
    merge: bool = False         # the statement is a MERGE
    action: bool = False        # a foreign key's action, inside a trigger of the server
    soft: bool = False          # a soft delete
    nested: bool = False        # inside a trigger of the application

    def but(self, **changes):
        """The same with something changed."""
        return replace(self, **changes)


@dataclass
class Stamps:
    """One trigger of the extension."""

    name: str
    columns: dict               # column key → Column, of the table
    version: str = None         # keys of columns
    created: str = None
    updated: str = None
    created_by: str = None
    updated_by: str = None
    change_id: str = None
    options: dict = field(default_factory=dict)
    ignore: frozenset = frozenset()
    managed: frozenset = frozenset()    # columns that any stamp trigger of the table names
    owner: str = 'postgres'
    on_delete: bool = False
    enabled: bool = True

    def option(self, name, default):
        """An option's value."""
        return self.options.get(name, default)

    # Events

    def insert(self, new, context):
        """The row that an INSERT stores."""
        if context.replica or not self.enabled:
            return new
        new, errors = dict(new), set()
        if self.version and new[self.version] is None:
            new[self.version] = self.first_version(context)
        for key in (self.created, self.updated):
            if key and new[key] is None:
                new[key] = self.clock(key, context)
        for part in (self.insert_actors, self.insert_change):
            try:
                part(new, context)
            except SqlError as error:
                errors |= error.states
        if errors:
            raise SqlError(*errors)
        return new

    def update(self, old, new, listed, context):
        """The row that an UPDATE stores; listed are the columns of its SET list."""
        if context.replica or not self.enabled:
            return new
        if context.bypass:
            self.permit_bypass(context)
            return new
        given, new, errors = new, dict(new), set()
        changed = differ((old[key], new[key]) for key, column in self.columns.items()
                         if key not in self.ignore and key not in self.managed and not column.generated)
        if context.merge:
            listed = {key for key in listed if not same(old[key], new[key])}
        for part in (self.update_version, self.update_created, self.update_updated, self.update_actors):
            try:
                part(old, new, listed, changed, context)
            except SqlError as error:
                errors |= error.states
        if errors:
            raise SqlError(*errors)
        if self.change_id:
            self.update_change(old, given, new)
        return new

    def delete(self, old, context):
        """Refuses to delete a row of an unexpected version."""
        if context.replica or not self.enabled or not self.version or not (self.on_delete or context.expected):
            return
        if context.bypass:
            self.permit_bypass(context)
            return
        if self.unexpected(old, context):
            raise SqlError(context.stale)

    def touch(self, old, bump, context):
        """The row of a parent whose children changed."""
        new = dict(old, own=True)
        new[self.updated] = self.clock(self.updated, context, old[self.updated])
        if self.version and bump:
            new[self.version] = self.next_version(old[self.version], context)
        return new

    # Parts of an INSERT

    def insert_actors(self, new, context):
        """Who makes the row is the actor, unless given."""
        for key in (self.created_by, self.updated_by):
            if key and new[key] is None:
                new[key] = self.actor(key, context)

    def insert_change(self, new, context):
        """The number of the transaction; a given one is kept in a backfill alone."""
        if not self.change_id:
            return
        if new[self.change_id] is not None:
            self.permit_bypass(context)
        if new[self.change_id] is None or not context.bypass:
            new[self.change_id] = Change()

    # Parts of an UPDATE

    def update_version(self, old, new, listed, changed, context):
        """The table of cases of spec and design."""
        if not self.version:
            return
        if self.unexpected(old, context):
            raise SqlError(context.stale)
        key, mode = self.version, self.option('mode', 'auto')
        stored, given = old[key], new[key]
        if key not in listed:
            expected = context.expected and not context.nested
            if mode == 'echo' and not (context.action or context.soft or expected):
                raise SqlError('OE002')
            new[key] = self.next_version(stored, context) if changed else stored
        elif same(given, stored):
            if changed and mode == 'strict' and stored is not None:
                raise SqlError(context.stale)
            if changed or (mode != 'strict' and self.option('resent', 'keep') == 'move'):
                new[key] = self.next_version(stored, context)
        elif stored is not None and mode == 'echo' or not self.follows(stored, given):
            raise SqlError(context.stale)

    def update_created(self, old, new, listed, _changed, _context):
        """Who made the row, and when, is kept; where that is not known, it may be given once."""
        for key in (self.created, self.created_by):
            if not key or old[key] is None or same(old[key], new[key]):
                continue
            if self.option('immutable', 'keep') == 'error' and key in listed:
                raise SqlError('428C9')
            new[key] = old[key]

    def update_updated(self, old, new, listed, changed, context):
        """The time of the last change moves where the row changed, unless it was given."""
        key = self.updated
        if not key:
            return
        if key in listed and not (self.option('resent', 'keep') == 'move' and same(old[key], new[key])):
            return
        new[key] = self.clock(key, context, old[key]) if changed else old[key]

    def update_actors(self, old, new, listed, changed, context):
        """Who changed the row is the actor, unless given."""
        key = self.updated_by
        if not key or (key in listed and not same(old[key], new[key])):
            return
        new[key] = self.actor(key, context) if changed else old[key]

    def update_change(self, old, given, new):
        """The number of the transaction, where anything at all changes."""
        key = self.change_id
        keys = [other for other, column in self.columns.items() if other != key and not column.generated]
        if differ((old[other], new[other]) for other in keys):
            new[key] = Change()
        elif differ((old[other], given[other]) for other in keys):
            # What was asked for was put back: that is left open.
            new[key] = OneOf((old[key], Change()))
        else:
            new[key] = old[key]

    # Values

    def unexpected(self, old, context):
        """Whether orm_ext.expected_version forbids to touch the row."""
        if not context.expected or context.action or context.nested or old['own']:
            return False
        stored = old[self.version]
        if isinstance(stored, UNKNOWN):
            raise Unsure
        kind = self.columns[self.version].type
        if context.expected == 'none':
            raise SqlError('22007' if kind.is_time else '22P02')
        if kind.family == 'int' and not context.expected.lstrip('-').isdigit():
            raise SqlError('22P02')
        if kind.family == 'int':
            kind.coerce(int(context.expected))
        return stored is None or kind.text(stored) != context.expected

    def first_version(self, context):
        """The version of a new row."""
        family = self.columns[self.version].type.family
        if family == 'int':
            return 1
        return Token() if family == 'uuid' else self.clock(self.version, context)

    def next_version(self, stored, context):
        """The version after this one."""
        kind = self.columns[self.version].type
        if stored is None:
            return self.first_version(context)
        if kind.family == 'uuid':
            return Token()
        if kind.family == 'tz':
            return self.clock(self.version, context, stored)
        if isinstance(stored, UNKNOWN):
            raise Unsure
        if stored < kind.high:
            return kind.coerce(stored + 1)
        if self.option('overflow', 'error') == 'error':
            raise SqlError('22003')
        return 1

    def follows(self, stored, given):
        """Whether a client may give this version for a row of that version."""
        kind = self.columns[self.version].type
        if stored is None:
            return True
        if given is None:
            return False
        if kind.family == 'uuid':
            return True
        if isinstance(stored, UNKNOWN) or isinstance(given, UNKNOWN):
            raise Unsure
        if kind.family == 'tz':
            return given > stored
        if stored == kind.high and self.option('overflow', 'error') == 'wrap':
            return given in (0, 1, kind.low)
        return given == stored + 1

    def clock(self, key, context, stored=None):
        """The clock's reading for a column, later than what is stored."""
        kind, wall = self.columns[key].type, self.option('clock', 'transaction')
        shift = 0
        if kind.family in ('ts', 'date'):
            shift = 0 if self.option('zone', 'session') == 'utc' else ZONES[context.zone]
        step = {'int': 1, 'date': 0}.get(kind.family, kind.step)
        if isinstance(stored, Moment):
            floor, extra = stored, step
        elif isinstance(stored, UNKNOWN):
            raise Unsure
        else:
            floor, extra = (None if stored is None else stored + step), 0
        moment = Moment(wall, kind, self.option('unit', 'microseconds'), shift, floor, extra)
        if wall == 'transaction' and context.now is not None and not isinstance(floor, Moment):
            value = moment.stamp(context.now)
            return value if floor is None else max(value, floor)
        return moment

    def actor(self, key, context):
        """Who does it, in the column's type."""
        kind = self.columns[key].type
        who = context.actor
        if not who:
            return context.session if kind.family == 'text' or kind.sql == 'regrole' else None
        if kind.sql == 'regrole':
            if who.isdigit():
                return str(types.OID.coerce(int(who)))
            if ' ' in who:
                raise SqlError('42602')
            if who not in ('postgres', 'oracle_app'):
                raise SqlError('42704')
        elif kind.family == 'int':
            if not who.isdigit():
                raise SqlError('22P02')
            return kind.coerce(int(who))
        elif kind.family == 'uuid':
            if len(who) != 36:
                raise SqlError('22P02')
        elif kind.length and len(who) > kind.length:
            raise SqlError('22001')
        return who

    def permit_bypass(self, context):
        """Only the owner and superusers may switch the rules off."""
        if context.bypass and context.role not in ('postgres', self.owner):
            raise SqlError('42501')


@dataclass
class UserTrigger:
    """A PL/pgSQL trigger of the application, as a function of Python."""

    name: str
    on_insert: object = None    # new → new
    on_update: object = None    # (old, new) → new

    def insert(self, new, context):
        """The row that an INSERT goes on with."""
        return self.on_insert(dict(new)) if self.on_insert and not context.replica else new

    def update(self, old, new, _listed, context):
        """The row that an UPDATE goes on with."""
        return self.on_update(old, dict(new)) if self.on_update and not context.replica else new

    def delete(self, old, context):
        """Nothing happens."""


@dataclass
class Leaf:
    """A table that stores rows, with its triggers in the order of their names."""

    name: str
    triggers: list = field(default_factory=list)

    def insert(self, schema, new, context):
        """All BEFORE INSERT triggers, then what the table itself demands."""
        for trigger in self.triggers:
            new = trigger.insert(new, context)
        return schema.finish(new, self.name)

    def update(self, schema, old, new, listed, context):
        """All BEFORE UPDATE triggers; a row that moves is inserted in its new partition."""
        for trigger in self.triggers:
            new = trigger.update(old, new, listed, context)
        target = schema.route(new, self)
        if target is self:
            return schema.finish(new, target.name)
        return target.insert(schema, new, context)

    def delete(self, old, context):
        """All BEFORE DELETE triggers."""
        for trigger in self.triggers:
            trigger.delete(old, context)
