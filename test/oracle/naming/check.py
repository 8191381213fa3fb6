"""The comparisons after a statement: answers, warnings, catalogs, names."""

from twin.unit import Mismatch

from . import follow
from .answer import compare, split_notices
from .catalog import pair, relation_rows
from .model import is_cut, origin, possible_names, sources, Told
from .quoting import quote

EXISTS = ('42P07', '42710')
# Statements that take names which are no business of the conventions; an index may have them on one side alone.
TAKING = ('occupant', 'domain', 'rename table', 'rename view', 'set schema', 'foreign table', 'create type')


class Diverged(Exception):
    """Names of one side stood in the way on that side alone: nothing to be learnt from the rest."""


def catalogs(plain, managed, lines, settings, when):
    """Everything but names of constraints and indexes has to be the same."""
    one, other = (relation_rows(catalog) for catalog in (plain, managed))
    if settings.follow:
        one, other = follow.without_sequences(one), follow.without_sequences(other)
    for key in sorted(one.keys() | other.keys()):
        if one.get(key) != other.get(key):
            lines.append(f'  relation {key}:\n    plain:   {one.get(key)}\n    managed: {other.get(key)}')
    if not settings.follow and plain.others != managed.others:
        lines.append(f'  others:\n    plain:   {plain.others}\n    managed: {managed.others}')
    if lines:
        raise Mismatch([f'the catalogs differ {when}', *lines])


def hinted_name(verdict, text):
    """The name that a hint gives, as far as the model allows it."""
    found = [name for name in verdict.hints if text and (f'"{name}"' in text or quote(name) in text)]
    return max(found, key=len) if found else None


def hint(verdict, text, detail):
    """The hint has the expected name; the detail says that a name may have been cut."""
    if not hinted_name(verdict, text):
        raise Mismatch([f'the hint is "{text}"; expected: {sorted(verdict.hints)}'])
    if is_cut(verdict.named.name) != bool(detail):
        raise Mismatch([f'the detail for "{verdict.named.name}" is "{detail}"'])


class Check:
    """Compares what one statement did on both sides."""

    def __init__(self, unit, statement, verdicts):
        self.unit = unit
        self.known = unit.known
        self.settings = unit.settings
        self.statement = statement
        self.verdicts = verdicts
        self.told = Told({(named.thing.table, named.name) for named in statement.named}, statement.named,
                         [(row['schema'], row['name']) for row in statement.like], statement.recreates)

    def run(self, plain, managed):
        """All of them."""
        warnings, renamed, rest = split_notices(managed.notices)
        self.answers(plain, managed._replace(notices=rest))
        if plain.sqlstate:
            if self.statement.alone:
                self.unit.settle('after a failure')
            return
        if self.unit.config:
            self.warnings(warnings, plain.skipped())
        before = self.known.plain, self.known.managed
        after = tuple(self.unit.look(side) for side in ('plain', 'managed'))
        pairs, lines = pair(self.known.pairs, *after)
        catalogs(*after, lines, self.settings, 'after a statement')
        try:
            self.names(before, after, pairs)
            if self.unit.config:
                follow.Follow(self.unit, self.statement, before[1], after[1]).run(renamed, before[0], after[0], pairs)
        finally:
            self.known.pairs.update(pairs)
            self.known.plain, self.known.managed = after

    def answers(self, plain, managed):
        """The answers of both sides."""
        names = {}
        for one, other in self.known.pairs.items():
            if one in self.known.plain.objects and other in self.known.managed.objects:
                names[self.known.managed.objects[other].name] = self.known.plain.objects[one].name
        names = {name: partner for name, partner in names.items() if name != partner}
        reason = compare(plain, managed, names, not self.settings.strict or not self.unit.alike, not names)
        if not reason:
            return
        if self.is_more_lenient(plain, managed):
            if managed.sqlstate:
                return
            raise Diverged
        alike = self.settings.strict and self.unit.alike
        if self.statement.kind in TAKING and {plain.sqlstate, managed.sqlstate} & set(EXISTS) and not alike:
            raise Diverged
        raise Mismatch([f'{reason} of a statement ({self.statement.kind})', f'  plain:   {plain.describe()}',
                        f'  managed: {managed.describe()}'])

    def is_more_lenient(self, plain, managed):
        """Whether only the plain side minds that something unnamed has got a name which is given later on."""
        given = any(f'"{named.name}"' in plain.message for named in self.told.named) or self.told.like
        return (plain.sqlstate in EXISTS and bool(given)
                and (plain.sqlstate, plain.message) != (managed.sqlstate, managed.message))

    def warnings(self, warnings, skipped):
        """Exactly the names that do not conform are warned of."""
        if skipped:
            return
        shown = {(name, what, table) for name, what, table, _ in warnings}
        bad = {verdict.text for verdict in self.verdicts if verdict.conforms is False}
        unsure = {verdict.text for verdict in self.verdicts if verdict.conforms is None}
        if self.settings.check == 'error' and bad:
            raise Mismatch([f'names were not refused: {sorted(bad)}'])
        if self.settings.check != 'warn':
            bad, unsure = set(), set()
        if shown - unsure != bad - unsure:
            raise Mismatch([f'warned of {sorted(shown)}, expected: {sorted(bad)}'])
        for *text, notice in warnings:
            verdict = next(one for one in self.verdicts if one.text == tuple(text))
            lines = notice.split('\n')
            detail = [line for line in lines if line.startswith('DETAIL:')]
            found = [line for line in lines if line.startswith('HINT:')]
            hint(verdict, found[0] if found else '', detail[0] if detail else '')
            self.unit.result.seen['warned'] += 1

    # Names

    def names(self, before, after, pairs):
        """The names of what is new, and of what was there."""
        config = self.unit.config if self.settings.fill else None
        options = [possible_names(before[0], after[0], self.told, None),
                   possible_names(before[1], after[1], self.told, config)]
        for one, other in sorted(pairs.items()):
            plain, managed = after[0].objects[one], after[1].objects[other]
            if one in before[0].objects:
                self.old_name(before, plain, managed)
            else:
                self.new_name(before, after, plain, managed, options, pairs)

    def old_name(self, before, plain, managed):
        """What was there keeps its name, or gets the same one on both sides."""
        if managed.oid not in before[1].objects:
            return
        old_plain, old = before[0].objects[plain.oid].name, before[1].objects[managed.oid].name
        if plain.name != old_plain and managed.name != plain.name:
            self.wrong(managed, {plain.name}, 'is renamed')
        if plain.name == old_plain and managed.name != old and not (self.settings.follow and self.statement.renames):
            self.wrong(managed, {old}, 'was there')
        if managed.name != old and plain.name == old_plain:
            self.unit.alike = False

    def new_name(self, before, after, plain, managed, options, pairs):
        """What is new has the name that the model chooses."""
        where = origin(plain, before[0], self.told)
        self.unit.result.seen[f'{plain.kind} {where}'] += 1
        if where == 'unnamed' or where == 'clone' and plain.kind in ('pk', 'uq', 'ex', 'ix'):
            self.chosen_name(plain, managed, options, where)
        elif where == 'explicit':
            # PostgreSQL may have chosen the very name of an explicit one that was the same and is gone.
            if managed.name != plain.name and plain.name not in options[0][plain.oid]:
                self.wrong(managed, {plain.name}, where)
            if managed.name != plain.name:
                self.chosen_name(plain, managed, options, where)
        elif where == 'domain':
            if managed.name != plain.name and self.unit.alike:
                self.wrong(managed, {plain.name}, where)
        elif where == 'other':
            if managed.name != plain.name and self.unit.alike and self.settings.strict and plain.kind == 'nn':
                self.wrong(managed, {plain.name}, 'PostgreSQL names it')
        elif where == 'index':
            if managed.name != before[1].indexes[managed.index]['name']:
                self.wrong(managed, {before[1].indexes[managed.index]['name']}, where)
        elif plain.kind == 'ck':
            self.copied_name(before, after, plain, managed, where, {**self.known.pairs, **pairs})
        elif where == 'recreated':
            wanted = {before[1].objects[self.known.pairs[old.oid]].name for old in before[0].objects.values()
                      if (old.kind, old.table, old.name) == (plain.kind, plain.table, plain.name)}
            if managed.name not in wanted:
                self.wrong(managed, wanted, where)

    def chosen_name(self, plain, managed, options, where):
        """Both names have to be what the model gets from the names taken on their side."""
        mine, theirs = options[0][plain.oid], options[1][managed.oid]
        if plain.name not in mine:
            self.wrong(plain, mine, f'{where}, on the plain side: the model is wrong')
        fits = [number for number, name in enumerate(mine) if name == plain.name]
        wanted = {theirs[number] for number in fits}
        if managed.name not in wanted:
            self.wrong(managed, wanted, where)
        if managed.name != plain.name:
            strange = plain.odd or self.settings.mode != 'strict' or not self.settings.fill
            if self.unit.alike and not strange and where == 'unnamed':
                self.wrong(managed, {plain.name}, 'all_columns is to be as PostgreSQL names')
            self.unit.alike = False

    def copied_name(self, before, after, plain, managed, where, pairs):
        """A CHECK that comes from another table has that one's name."""
        if where == 'copied':
            found = sources(plain, before[0], self.told)
        else:
            found = [item for item in (*before[0].objects.values(), *after[0].objects.values())
                       if item.kind == 'ck' and item.name == plain.name and item.oid != plain.oid]
        wanted = {catalog.objects[pairs[item.oid]].name for item in found for catalog in (before[1], after[1])
                  if item.oid in pairs and pairs[item.oid] in catalog.objects}
        if managed.name not in wanted | ({plain.name} if where != 'copied' else set()):
            self.wrong(managed, wanted, where)

    def wrong(self, item, wanted, why):
        """A name is not what it ought to be."""
        columns = ', '.join(item.columns)
        raise Mismatch([f'the name of {item.kind} on {item.table} ({columns}) is "{item.name}" ({why});'
                        f' expected: {sorted(wanted)}', f'  {item.signature}'])
