"""What the names of new objects have to be, and which given names do not conform."""

from collections import defaultdict
from dataclasses import dataclass
import re

from .catalog import Catalog
from .templates import choice, conforms, cut, expected, LIMIT, native, numbered, size

IN_SCHEMA = ('pk', 'uq', 'ex', 'ix')        # share their names with tables
TRANSIENT = re.compile(r'_cc(new|old)[0-9]*\Z')
LABELS = {'pk': 'primary key', 'uq': 'unique constraint', 'fk': 'foreign key constraint', 'ck': 'check constraint',
          'ex': 'exclusion constraint', 'ix': 'index'}


class Taken:
    """Names in use by schema, of relations and of constraints."""

    def __init__(self, catalog, gone=None):
        """Those of a catalog; without those that are no longer in another one, where that is given."""
        self.relations, self.constraints = defaultdict(set), defaultdict(set)
        for mine, theirs, rest in ((self.relations, catalog.relation_names, gone and gone.relation_names),
                                   (self.constraints, catalog.constraint_names, gone and gone.constraint_names)):
            for schema, names in theirs.items():
                left = rest[schema] if gone else names
                mine[schema] = {name for name, oids in names.items() if oids & left.get(name, set())}

    def add(self, kind, schema, name):
        """Takes a name for an object of a kind."""
        if kind in IN_SCHEMA or kind == 'relation':
            self.relations[schema].add(name)
        if kind not in ('ix', 'relation'):
            self.constraints[schema].add(name)

    def is_free(self, kind, schema, name):
        """Whether PostgreSQL's own chooser would take the name for an object of a kind."""
        return not (kind in IN_SCHEMA and name in self.relations[schema]
                    or kind != 'ix' and name in self.constraints[schema])


def choose(config, thing, taken):
    """The name of something unnamed; without a configuration it is PostgreSQL's own."""
    own = thing.schema == 'pg_temp' or config is None
    parts, overflow = (native(thing), 'postgres') if own else choice(config, thing)
    return numbered(parts, overflow, lambda name: taken.is_free(thing.kind, thing.schema, name))


@dataclass
class Told:
    """What a statement says about the names of what it makes."""

    explicit: set           # (table, name)
    named: list
    like: list              # (schema, name) of the relations that LIKE copies
    recreates: bool


def origin(item, before: Catalog, told):
    """Where the name of a new object comes from."""
    if item.kind in ('nn', 'trigger'):
        return 'other'
    vanished = told.recreates and any(old.name == item.name and old.table == item.table and old.kind == item.kind
                                      for old in before.objects.values())
    if vanished:
        return 'recreated'
    if item.table is None:
        return 'domain'
    if item.clone:
        return item.clone
    if (item.table, item.name) in told.explicit:
        return 'explicit'
    if item.index in before.indexes:
        return 'index'
    if item.kind == 'ck' and sources(item, before, told):
        return 'copied'
    return 'unnamed'


def sources(item, catalog, told):
    """The CHECK constraints that LIKE may have copied: several where one is like the other."""
    rows = [catalog.relations.get(old.relation) for old in catalog.objects.values()]
    found = [old for old, row in zip(catalog.objects.values(), rows) if old.kind == 'ck' and row
             and (row['schema'], row['name']) in told.like]
    if item.name not in {old.name for old in found}:
        return []
    return [old for old in found if old.row['definition'].removesuffix(' NOT VALID') == item.row['definition']]


def walk(before, after, avoided, gone):
    """New objects in the order in which they were made, each with the names taken at that time.

    Names that are given later in the same statement are avoided, which PostgreSQL's own chooser does not do.
    """
    taken = Taken(before, after if gone else None)
    for named in avoided:
        taken.add(named.thing.kind, named.thing.schema, named.name)
    events = [(oid, 'relation', row['schema'], row['name'], None) for oid, row in after.relations.items()
              if oid not in before.relations]
    events += [(oid, item.kind, item.schema, item.name, item) for oid, item in after.objects.items()
               if oid not in before.objects]
    for _, kind, schema, name, item in sorted(events, key=lambda event: event[0]):
        if item:
            yield item, taken
        taken.add(kind, schema, name)


def possible_names(before, after, told, config):
    """The names that each new object may have: oid → list; those given explicitly are not looked at here.

    Names that the statement itself has freed may be taken or not: what a DROP in the same ALTER
    TABLE leaves is free for PostgreSQL, which is right, but not for somebody who looks earlier.
    """
    result = defaultdict(list)
    for gone in (True, False):
        for item, taken in walk(before, after, told.named if config else (), gone):
            if item.table is not None and item.kind not in ('nn', 'trigger'):
                own = config if not item.clone else None
                result[item.oid].append(choose(own, item.thing(), taken))
    return result


# Judging

@dataclass
class Verdict:
    """What the conventions say about a name that was given."""

    named: object
    conforms: bool      # None: left open
    hints: set          # the names that a hint may give

    @property
    def text(self):
        """How the message calls it."""
        return self.named.name, LABELS[self.named.thing.kind], self.named.thing.table


def judge(config, named, catalog, item=None, rest=()):
    """The verdict on a name; item is what it is to replace the name of, rest the statement's other names."""
    thing, name = named.thing, named.name
    if not named.judged or config is None or thing.schema == 'pg_temp' or config.is_exempt(thing, name):
        return Verdict(named, True, set())
    relation = next((oid for oid, row in catalog.relations.items()
                     if (row['schema'], row['name']) == (thing.schema, thing.table)), 0)
    others = catalog.check_names(relation) if thing.kind == 'ck' else ()
    verdict = conforms(config, thing, name, others)
    if item and item.clone:
        verdict = verdict or None
    if thing.kind == 'ck' and any((other.thing.kind, other.name) == ('ck', name) and other.thing.table != thing.table
                                  for other in rest):
        verdict = verdict or None       # whichever is made first excuses the other
    wanted = expected(config, thing, name)
    hints = set()
    if wanted:
        for more in (False, True):
            taken = Taken(catalog)
            if item:
                taken.relations[thing.schema].discard(item.name)
                taken.constraints[thing.schema].discard(item.name)
            for other in rest if more else ():
                taken.add(other.thing.kind, other.thing.schema, other.name)
            hints.add(numbered(*wanted, lambda text, t=taken: t.is_free(thing.kind, thing.schema, text)))
    return Verdict(named, verdict, hints)


def judge_all(config, statement, known):
    """The verdicts on all names that a statement gives."""
    named, objects = statement.named, known.managed.objects
    return [judge(config, one, known.managed, objects.get(known.pairs.get(one.oid)),
                  [other for other in named if other is not one]) for one in named]


def is_cut(name):
    """Whether the scanner may have cut a name."""
    return size(name) == LIMIT


# Audit

def audited(catalog):
    """The objects that are judged as a part of what exists."""
    return [item for item in catalog.objects.values()
            if item.kind in LABELS and item.table and item.schema != 'pg_temp' and not item.clone
            and not (item.kind in IN_SCHEMA and not item.valid and TRANSIENT.search(item.name))]


def audit(config, catalog):
    """(item, conforms, expected names) of what exists.

    A CHECK may have the name of another table's that conforms there: ATTACH and LIKE want the same.
    """
    items = audited(catalog)
    verdicts = {item.oid: conforms(config, item.thing(), item.name) for item in items}
    good = {verdict: {item.name for item in items if item.kind == 'ck' and verdicts[item.oid] is verdict}
            for verdict in (True, None)}
    result = []
    for item in items:
        verdict = verdicts[item.oid]
        if item.kind == 'ck' and verdict is False:
            verdict = True if item.name in good[True] else None if item.name in good[None] else False
        wanted = expected(config, item.thing(), item.name)
        result.append((item, verdict, {cut(*wanted)} if wanted else set()))
    return result
