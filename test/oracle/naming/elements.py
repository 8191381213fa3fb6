"""Columns, expressions and constraints of random tables."""

from .quoting import quote
from .statement import joined, Named
from .templates import clip, cut, expand, LIMIT, native, Thing
from .words import COLUMNS, NAMES, TYPES, WORDS

NUMBERS = ('integer', 'int', 'bigint', 'serial')
TEXTS = ('text', 'varchar(30)', 'character varying(30)')
WORDS_OF_KEYS = {'pk': 'PRIMARY KEY', 'uq': 'UNIQUE'}
WITHOUT_ORDER = ('json', 'box')
ALIASES = {'int': 'integer', 'serial': 'integer', 'varchar(30)': 'character varying(30)',
           'timestamptz': 'timestamp with time zone', 'int[]': 'integer[]'}


class Elements:
    """The part of the generator that makes up what stands within a table."""

    def __init__(self, rng, seen, context):
        self.rng = rng
        self.seen = seen
        self.context = context      # what is known: catalogs of both sides, conventions, settings
        self.explicit = 0.3         # how many constraints have a name

    def chance(self, probability):
        """True that often."""
        return self.rng.random() < probability

    def feature(self, name):
        """Counts a feature for the summary."""
        self.seen[name] += 1
        return True

    # Names

    def name(self, thing, judged=True):
        """A name that somebody gives explicitly."""
        rng, config = self.rng, self.context.config
        thing = thing.but(columns=tuple(clip(column, LIMIT) for column in thing.columns))
        rule = config.rule(thing.schema, thing.kind)
        judged = judged and thing.schema != 'pg_temp'
        form = rng.choices(('follows', 'digits', 'native', 'odd', 'taken'), (9, 1, 2, 7, 1))[0]
        text = None
        if form in ('follows', 'digits') and rule.template is not None:
            parts = expand(rule, thing.but(constraint_name=rng.choice(WORDS)))
            digits = rng.choice(('1', '7', '12')) if form == 'digits' else ''
            text = cut(parts, rng.choice(('sqlalchemy', 'postgres')), digits)
        elif form == 'native':
            text = cut(native(thing.but(native=thing.columns)), 'postgres')
        elif form == 'taken':
            catalog = self.context.plain
            names = list(catalog.relation_names[thing.schema]) + list(catalog.constraint_names[thing.schema])
            text = rng.choice(names) if names else None
        if not text:
            text = rng.choice(NAMES)
        self.feature(f'explicit name: {form}')
        return Named(thing, text, judged)

    def maybe_named(self, thing):
        """CONSTRAINT name, or nothing."""
        if self.chance(self.explicit):
            return ['CONSTRAINT ', self.name(thing), ' ']
        return []

    # Expressions: (text, columns that occur in it, breadth first)

    def expression(self, columns):
        """An expression for an index."""
        rng = self.rng
        numbers = [name for name, kind in columns if kind in NUMBERS]
        texts = [name for name, kind in columns if kind in TEXTS]
        forms = [('(1)', []), ("lower('x')", [])] if self.chance(0.1) else []
        if numbers:
            one, two = rng.choice(numbers), rng.choice(numbers)
            a, b = quote(one), quote(two)
            forms += [(f'({a} + 1)', [one]), (f'({a} + {b} * 2)', [one, two]), (f'(abs({a}) + {b})', [two, one]),
                      (f'(abs({a}) + -({b} - 1))', [two, one]), (f'({a} + {b} + {a})', [one, two]),
                      (f'({a} - 1 - {b})', [two, one]), (f'({a} + {b} + 1.5)', [one, two]),
                      (f'abs({a})', [one]), (f'coalesce({a}, {b}, 0)', [one, two]), (f'({a}::numeric)', [one]),
                      (f'(-{a})', [one]), (f'({a} > {b})', [one, two]), (f'({a} IS NULL)', [one]),
                      (f'({a} > 1 OR {b} > 1)', [one, two]), (f'(abs(abs({a})) - (0 - {b}))', [two, one])]
        if texts:
            one, two = rng.choice(texts), rng.choice(texts)
            a, b = quote(one), quote(two)
            forms += [(f'lower({a})', [one]), (f'lower({a})', [one]), (f'({a} || {b})', [one, two]),
                      (f'(lower({a}) || {b})', [two, one]), (f'md5({a} || {b})', [one, two]),
                      (f"({a} || '-' || {b})", [one, two]), (f"(lower({a}) || ('-' || {b}))", [two, one]),
                      (f'({a} COLLATE "C")', [one]), (f"replace('x', {a}, {b})", [one, two]),
                      (f'length({a})', [one])]
        if texts and numbers:
            one, two = rng.choice(texts), rng.choice(numbers)
            forms.append((f'left({quote(one)}, {quote(two)})', [one, two]))
        text, found = rng.choice(forms) if forms else ('(1)', [])
        return text, list(dict.fromkeys(found))

    def condition(self, columns, table=None):
        """A condition for CHECK or WHERE; with a table it may be named in it."""
        rng = self.rng
        (one, kind), (two, other) = rng.choice(columns), rng.choice(columns)
        a, b = quote(one), quote(two)
        forms = [(f'{a} IS NOT NULL', [one]), (f'{a} IS NOT NULL', [one]),
                 (f'{a} IS NOT NULL OR {b} IS NULL', [one, two]),
                 (f'({a} IS NULL) = ({b} IS NULL)', [one, two]), ('true', [])]
        if kind in NUMBERS:
            forms += [(f'abs({a}) < {b}', [two, one])] * (one != two and other in NUMBERS)
            forms += [(f'{a} > 0', [one])] * 3 + [(f'{a} BETWEEN 1 AND 7', [one]), (f'{a} IN (1, 2)', [one]),
                                                  (f'{a} > 0 AND {a} < 100', [one])]
        if kind in TEXTS:
            forms += [(f"{a} <> ''", [one])] * 2 + [(f'length({a}) < 5', [one])]
        if table:
            forms += [(f'{quote(table)}.{a} IS NOT NULL', [one])]
            if self.chance(0.1):
                forms += [(f'{quote(table)} IS NOT NULL', []), ('tableoid > 0', ['tableoid']),
                          (f'tableoid > 0 AND {a} IS NOT NULL', ['tableoid', one])]
        text, found = rng.choice(forms)
        return text, list(dict.fromkeys(found))

    # Columns

    def new_columns(self, number):
        """Names and types of new columns."""
        names = self.rng.sample(COLUMNS, number)
        kinds = self.rng.choices([kind for kind, _ in TYPES], [weight for _, weight in TYPES], k=number)
        return list(zip(names, kinds))

    def keyed(self, columns, number, must=()):
        """Names of some columns that can be in a key."""
        able = [name for name, kind in columns if kind not in WITHOUT_ORDER] or [columns[0][0]]
        if self.chance(0.02):
            able = [name for name, _ in columns]
        rest = [name for name in able if name not in must]
        chosen = [*must, *self.rng.sample(rest, min(max(number - len(must), 0), len(rest)))]
        self.rng.shuffle(chosen)
        if not chosen:
            chosen = able[:1]
        if self.chance(0.015):
            chosen.append(self.rng.choice(('missing', *chosen)))
        return chosen

    def how_many(self):
        """How many columns a key has."""
        return self.rng.choices((1, 2, 3, 4), (8, 6, 2, 1))[0]

    # Constraints

    def inline(self, schema, table, column, kind, foreign=False):
        """Constraints behind a column."""
        rng, pieces = self.rng, []
        for _ in range(rng.choices((0, 1, 2), (11, 8, 2))[0]):
            what = rng.choice(('check', 'check', 'unique', 'unique', 'primary', 'references', 'not null', 'default'))
            if foreign and what in ('unique', 'primary', 'references'):
                what = 'check'
            pieces.append(' ')
            if what == 'check':
                text, found = self.condition([(column, kind)], table)
                pieces += [*self.maybe_named(Thing('ck', schema, table, tuple(found))),
                           f'CHECK ({text}){self.enforced()}']
            elif what == 'unique':
                pieces += [*self.maybe_named(Thing('uq', schema, table, (column,))), f'UNIQUE{self.deferral()}']
            elif what == 'primary':
                pieces += [*self.maybe_named(Thing('pk', schema, table, (column,))), 'PRIMARY KEY']
            elif what == 'references':
                pieces += self.references(schema, table, [(column, kind)], True)
            elif what == 'not null':
                pieces.append(f'{self.named_not_null()}NOT NULL')
            elif kind != 'serial':
                pieces.append('DEFAULT NULL')
        return pieces

    def named_not_null(self):
        """Since PostgreSQL 18 NOT NULL has a name, which is judged by nobody."""
        if self.context.version >= 180000 and self.chance(0.2) and self.feature('NOT NULL with a name'):
            return f'CONSTRAINT {quote(self.rng.choice(NAMES))} '
        return ''

    def enforced(self):
        """NOT ENFORCED, where there is such a thing."""
        return ' NOT ENFORCED' if self.context.version >= 180000 and self.chance(0.05) else ''

    def deferral(self):
        """How a constraint is deferred."""
        return self.rng.choice(('',) * 9 + (' DEFERRABLE', ' DEFERRABLE INITIALLY DEFERRED', ' NOT DEFERRABLE'))

    def target(self, columns):
        """(table, its columns, ours) for a foreign key; None where nothing fits."""
        catalog, found = self.context.plain, []
        for item in catalog.objects.values():
            if item.kind not in ('pk', 'uq') or item.schema == 'pg_temp' or item.relation not in catalog.relations:
                continue
            if item.odd or len(item.columns) > 3:
                continue
            kinds = {column[1]: column[2] for column in catalog.relations[item.relation]['columns']}
            ours = []
            for name in item.columns:
                wanted = kinds.get(name)
                fit = [own for own, kind in columns if ALIASES.get(kind, kind) == wanted and own not in ours]
                if not fit:
                    break
                ours.append(self.rng.choice(fit))
            else:
                found.append((catalog.relations[item.relation], item.columns, ours))
        return self.rng.choice(found) if found else None

    def references(self, schema, table, columns, inline=False):
        """A foreign key, or a check where there is nothing to refer to."""
        found = self.target(columns)
        if not found and self.chance(0.9):
            text, names = self.condition(columns, table)
            return [*self.maybe_named(Thing('ck', schema, table, tuple(names))), f'CHECK ({text})']
        if found:
            row, names, ours = found
            target, listed = row['name'], f" ({', '.join(map(quote, names))})"
            place = self.context.place(row)
            if self.chance(0.2) and any(item.kind == 'pk' and item.relation == row['oid'] and item.columns == names
                                        for item in self.context.plain.objects.values()):
                listed = ''
        else:
            ours, names, target, listed, place = [columns[0][0]], ('id',), 'nowhere', ' (id)', 'nowhere'
        thing = Thing('fk', schema, table, tuple(ours), None, target, tuple(names))
        actions = self.rng.choice(('', '', '', ' ON DELETE CASCADE', ' ON UPDATE SET NULL', ' MATCH FULL'))
        head = '' if inline else f"FOREIGN KEY ({', '.join(map(quote, ours))}) "
        return [*self.maybe_named(thing),
                f'{head}REFERENCES {place}{listed}{actions}{self.deferral() or self.enforced()}']

    def table_constraint(self, schema, table, columns, must=(), kinds=None, foreign=False):
        """A table constraint; must are the columns of a partition key."""
        kind = self.rng.choices(*(kinds or (('ck', 'uq', 'pk', 'fk', 'ex'), (6, 7, 2, 5, 2))))[0]
        if foreign:
            kind = 'ck'
        if kind == 'ck':
            text, found = self.condition(columns, table)
            return [*self.maybe_named(Thing('ck', schema, table, tuple(found))), f'CHECK ({text})',
                    ' NO INHERIT' if self.chance(0.05) else '']
        if kind == 'fk':
            return self.references(schema, table, columns)
        if self.context.version >= 180000 and self.chance(0.05):
            return [f'{self.named_not_null()}NOT NULL {quote(self.rng.choice(columns)[0])}']
        ranges = [name for name, column in columns if column == 'int4range']
        if self.context.version >= 180000 and kind in ('pk', 'uq') and len(ranges) > 1 and self.feature('overlaps'):
            words = f"{WORDS_OF_KEYS[kind]} ({quote(ranges[0])}, {quote(ranges[1])} WITHOUT OVERLAPS)"
            return [*self.maybe_named(Thing(kind, schema, table, tuple(ranges[:2]))), words]
        if kind == 'ex':
            return self.exclusion(schema, table, columns, must)
        must = () if self.chance(0.1) else must
        chosen = self.keyed(columns, self.how_many(), must)
        nulls = ' NULLS NOT DISTINCT' if kind == 'uq' and self.chance(0.1) else ''
        return [*self.maybe_named(Thing(kind, schema, table, tuple(chosen))),
                f"{WORDS_OF_KEYS[kind]}{nulls} ({', '.join(map(quote, chosen))}){self.included(columns)}",
                ' WITH (fillfactor = 70)' if self.chance(0.05) else '', self.deferral()]

    def included(self, columns):
        """INCLUDE, seldom."""
        if self.chance(0.12) and self.feature('include'):
            names = self.rng.sample([name for name, _ in columns], self.rng.randint(1, min(2, len(columns))))
            return f" INCLUDE ({', '.join(map(quote, names))})"
        return ''

    def exclusion(self, schema, table, columns, must=()):
        """EXCLUDE."""
        boxes = [name for name, kind in columns if kind in ('box', 'int4range')]
        parts, found = [], []
        if boxes and self.chance(0.6):
            method, chosen = ' USING gist', self.rng.sample(boxes, 1)
            parts = [f'{quote(name)} WITH &&' for name in chosen]
            found = chosen
        else:
            method, chosen = '', self.keyed(columns, self.how_many(), must)
            parts = [f'{quote(name)} WITH =' for name in chosen]
            found = list(chosen)
            if self.chance(0.25):
                text, names = self.expression(columns)
                parts.append(f'{text} WITH =')
                found += names[:1]
        where = f' WHERE ({self.condition(columns)[0]})' if self.chance(0.2) else ''
        return [*self.maybe_named(Thing('ex', schema, table, tuple(dict.fromkeys(found)))),
                f"EXCLUDE{method} ({', '.join(parts)}){where}{self.deferral()}"]

    def new_table_elements(self, schema, table, columns, must=(), foreign=False):
        """Columns and constraints in the order of a CREATE TABLE."""
        parts = [[f'{quote(name)} {kind}', *self.inline(schema, table, name, kind, foreign)]
                 for name, kind in columns]
        for _ in range(self.rng.choices((0, 1, 2, 3, 4), (3, 6, 4, 2, 1))[0]):
            part = self.table_constraint(schema, table, columns, must, foreign=foreign)
            parts.insert(self.rng.randint(1, len(parts)) if self.chance(0.3) else len(parts), part)
            if self.chance(0.06) and not any(isinstance(piece, Named) for piece in part):
                parts.append(list(part))        # the same once more
        return joined(', ', parts)


