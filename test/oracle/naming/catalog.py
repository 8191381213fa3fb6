"""What a database holds, as far as names are concerned, and which objects of two databases belong together."""

from collections import defaultdict
from dataclasses import dataclass, field
import re

from .templates import Thing

SCHEMAS = '''n.oid = pg_my_temp_schema() OR n.nspname !~ '^pg_'
    AND n.nspname NOT IN ('information_schema', 'orm_ext')'''
SCHEMA = '''CASE WHEN n.oid = pg_my_temp_schema() THEN 'pg_temp' ELSE n.nspname END'''

RELATIONS = f'''SELECT coalesce(json_agg(r ORDER BY r.oid), '[]') FROM (
    SELECT c.oid::bigint AS oid, {SCHEMA} AS schema, c.relname AS name, c.relkind AS kind,
        c.relpersistence AS persistence, c.relispartition AS partition, c.reloftype::regtype::text AS of_type,
        c.relreplident AS replident,
        c.reloptions AS options, pg_get_userbyid(c.relowner) AS owner, c.relacl::text AS acl,
        c.relrowsecurity AS row_security, c.relam::bigint AS am, c.relhassubclass AS parent,
        pg_get_expr(c.relpartbound, c.oid) AS bound,
        CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS key,
        CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END AS definition,
        (SELECT json_agg(i.inhparent::regclass::text ORDER BY i.inhseqno) FROM pg_inherits i
         WHERE i.inhrelid = c.oid) AS parents,
        (SELECT json_agg(i.inhparent::bigint) FROM pg_inherits i WHERE i.inhrelid = c.oid) AS parent_oids,
        (SELECT json_agg(json_build_array(a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
             pg_get_expr(d.adbin, d.adrelid), a.attcollation::regcollation::text, a.attidentity, a.attgenerated,
             a.attislocal, a.attinhcount, a.attstorage, a.attcompression, a.attstattarget) ORDER BY a.attnum)
         FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
        obj_description(c.oid, 'pg_class') AS comment,
        (SELECT json_agg(d.refobjid::regclass::text || '.' || d.refobjsubid) FROM pg_depend d
         WHERE c.relkind = 'S' AND d.objid = c.oid AND d.classid = 'pg_class'::regclass
         AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')) AS owned_by
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind NOT IN ('i', 'I', 't') AND ({SCHEMAS})) r'''

INDEXES = f'''SELECT coalesce(json_agg(r ORDER BY r.oid), '[]') FROM (
    SELECT x.oid::bigint AS oid, {SCHEMA} AS schema, x.relname AS name, t.relname AS table,
        i.indrelid::bigint AS relation,
        substr(pg_get_indexdef(x.oid), length('CREATE INDEX ' || CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END
            || quote_ident(x.relname)) + 1) AS definition,
        i.indisunique AS unique, i.indisprimary AS primary, i.indisvalid AS valid, i.indisclustered AS clustered,
        i.indisreplident AS replident, i.indimmediate AS immediate,
        (SELECT h.inhparent::bigint FROM pg_inherits h WHERE h.inhrelid = x.oid) AS parent,
        EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = x.oid AND o.contype IN ('p', 'u', 'x')) AS constrained,
        (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = x.oid) AS own,
        i.indkey::int2[] AS key, i.indnkeyatts AS keys, i.indexprs::text AS expressions,
        obj_description(x.oid, 'pg_class') AS comment
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE t.relkind <> 't' AND ({SCHEMAS})) r'''

CONSTRAINTS = f'''SELECT coalesce(json_agg(r ORDER BY r.oid), '[]') FROM (
    SELECT o.oid::bigint AS oid, {SCHEMA} AS schema, o.conname AS name, o.contype AS type, t.relname AS table,
        o.conrelid::bigint AS relation,
        d.typname AS domain, pg_get_constraintdef(o.oid) AS definition, o.conkey AS key, o.confkey AS referred_key,
        o.confrelid::bigint AS referred, f.relname AS referred_name, o.conindid::bigint AS index,
        o.conparentid::bigint AS parent,
        o.conislocal AS local, o.coninhcount AS inherited, o.convalidated AS validated,
        o.condeferrable AS deferrable, o.condeferred AS deferred, o.connoinherit AS no_inherit,
        CASE WHEN o.contype = 'c' THEN o.conbin::text END AS expression,
        obj_description(o.oid, 'pg_constraint') AS comment
    FROM pg_constraint o JOIN pg_namespace n ON n.oid = o.connamespace
    LEFT JOIN pg_class t ON t.oid = o.conrelid LEFT JOIN pg_class f ON f.oid = o.confrelid
    LEFT JOIN pg_type d ON d.oid = o.contypid
    WHERE {SCHEMAS}) r'''

OTHERS = f'''SELECT json_build_object(
    'statistics', (SELECT json_agg(pg_get_statisticsobjdef(s.oid) ORDER BY pg_get_statisticsobjdef(s.oid) COLLATE "C")
                   FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE {SCHEMAS}),
    'types', (SELECT json_agg(n.nspname || '.' || t.typname || t.typtype::text ORDER BY n.nspname COLLATE "C",
                  t.typname COLLATE "C")
              FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname !~ '^pg_' AND ({SCHEMAS})),
    'schemas', (SELECT json_agg(n.nspname || pg_get_userbyid(n.nspowner) || coalesce(n.nspacl::text, '')
                    ORDER BY n.nspname COLLATE "C") FROM pg_namespace n WHERE n.nspname !~ '^pg_' AND ({SCHEMAS})),
    'names', (SELECT json_agg(n.nspname ORDER BY n.nspname COLLATE "C") FROM pg_namespace n
              WHERE n.nspname !~ '^pg_' AND ({SCHEMAS})),
    'path', current_schemas(false))'''

QUERY = f'SELECT ({RELATIONS}), ({INDEXES}), ({CONSTRAINTS}), ({OTHERS})'
CONSTRAINT_KINDS = {'p': 'pk', 'u': 'uq', 'f': 'fk', 'c': 'ck', 'x': 'ex', 'n': 'nn', 't': 'trigger'}


@dataclass(eq=False)
class Object:
    """A constraint or an index without one."""

    oid: int
    kind: str               # pk uq fk ck ix ex, nn (NOT NULL), trigger
    schema: str
    table: str              # None for a domain's constraint
    name: str
    signature: tuple        # all that does not depend on names of constraints and indexes
    columns: tuple = ()
    native: tuple = ()
    referred: str = None
    referred_columns: tuple = ()
    unique: bool = False
    clone: str = ''         # of a partition's index, foreign key or check: what makes it one
    parent: int = 0
    relation: int = 0
    index: int = 0          # of a constraint, if it has one
    odd: bool = False       # has expressions, included columns or a column twice
    valid: bool = True
    row: dict = field(default_factory=dict)

    def thing(self):
        """What a template is applied to."""
        return Thing(self.kind, self.schema, self.table, self.columns, None, self.referred, self.referred_columns,
                     self.unique, self.native)


# Expressions as pg_node_tree shows them

NODE_TOKEN = re.compile(r'[{}()]|\[[^]]*\]|"(?:[^"\\]|\\.)*"|(?:\\.|[^\s{}()])+')


def parse_nodes(text):
    """The nodes of a pg_node_tree as (name, fields, children), within lists."""
    stack = [('', [], [])]
    for item in NODE_TOKEN.findall(text):
        if item == '{':
            stack.append(['', [], []])
        elif item == '}':
            node = tuple(stack.pop())
            stack[-1][2].append(node)
        elif item in '()':
            continue
        elif not stack[-1][0] and len(stack) > 1:
            stack[-1][0] = item
        else:
            stack[-1][1].append(item)
    return stack[0][2]


def value(node, name):
    """A field of a node."""
    fields = node[1]
    return fields[fields.index(f':{name}') + 1] if f':{name}' in fields else None


def is_implicit(node):
    """Whether the parser made up the node, so that a user has never written it."""
    forms = ('funcformat', 'relabelformat', 'coerceformat')
    return any(value(node, form) == '2' for form in forms)


def chain(node, operators):
    """The operator of a node whose chains SQLAlchemy makes one level of, or None."""
    if node[0] == 'BOOLEXPR':
        return {'and': 'AND', 'or': 'OR'}.get(value(node, 'boolop'))
    if node[0] == 'OPEXPR' and len(node[2]) == 2:
        name = operators.get(int(value(node, 'opno')))
        return name if name in ('+', '*', '||') else None
    return None


def depth(node, above, operators):
    """How many levels lie between a node and what is in it, in SQLAlchemy's tree.

    A function's arguments lie below a grouping and a list of clauses.
    """
    if is_implicit(node) or node[0] == 'WHEN':
        return 0
    if node[0] in ('COALESCE', 'MINMAX', 'NULLIFEXPR') or value(node, 'funcformat') == '0':
        return 3
    own = chain(node, operators)
    return 0 if own and own == above else 1


def breadth_first(node, operators):
    """The numbers of the columns of an expression, breadth first, each once; 0 is the whole row."""
    found = []

    def walk(item, level, above):
        """Notes the columns of a node and of all below it."""
        if item[0] == 'VAR':
            found.append((level, len(found), int(value(item, 'varattno'))))
        below = level + depth(item, above, operators)
        own = above if is_implicit(item) else chain(item, operators)
        for child in item[2]:
            walk(child, below, own)

    walk(node, 0, None)
    return list(dict.fromkeys(number for _, _, number in sorted(found)))


# Snapshots

class Catalog:
    """A snapshot of one database."""

    def __init__(self, operators, relations, indexes, constraints, others):
        self.operators = operators      # names by oid
        self.relations = {row['oid']: row for row in relations}
        self.indexes = {row['oid']: row for row in indexes}
        self.constraints = {row['oid']: row for row in constraints}
        self.others = others
        self.names = others['names'] or []      # of schemas
        self.objects = {}
        # schema → name → oids, of relations and of constraints
        self.relation_names = defaultdict(lambda: defaultdict(set))
        self.constraint_names = defaultdict(lambda: defaultdict(set))
        for row in [*relations, *indexes]:
            self.relation_names[row['schema']][row['name']].add(row['oid'])
        for row in constraints:
            self.constraint_names[row['schema']][row['name']].add(row['oid'])
            self.objects[row['oid']] = self.constraint(row)
        for row in indexes:
            if not row['constrained']:
                self.objects[row['oid']] = self.index(row)

    def columns_of(self, relation):
        """Names of a relation's columns by number."""
        row = self.relations.get(relation)
        names = {column[0]: column[1] for column in (row['columns'] or ())} if row else {}
        return {**names, -6: 'tableoid'}

    def constraint(self, row):
        """The object for a constraint."""
        kind = CONSTRAINT_KINDS[row['type']]
        names = self.columns_of(row['relation'])
        columns = tuple(names.get(number, '') for number in row['key'] or ())
        native, index, odd = columns, self.indexes.get(row['index']), False
        if kind == 'ck':
            found = breadth_first(*parse_nodes(row['expression']), self.operators) if row['expression'] else []
            columns = tuple(names[number] for number in found if number)
            native = tuple(names.get(number) for number in found)
            native = () if native == (None,) else native
        elif kind in ('pk', 'uq', 'ex') and index:
            columns = self.index_columns(index)
            odd = self.is_odd(index, columns)
            native = tuple(index['own'])
        referred = self.columns_of(row['referred'])
        clone = ''
        if row['parent']:
            clone = 'clone'
        elif row['inherited']:
            clone = 'inherited' if not row['local'] else 'merged'
        signature = (kind, row['schema'], row['table'], row['domain'], row['definition'], row['local'],
                     row['inherited'], row['validated'], row['deferrable'], row['deferred'], row['no_inherit'],
                     bool(row['parent']), row['comment'],
                     self.index_signature(index) if kind != 'fk' and index else ())
        return Object(row['oid'], kind, row['schema'], row['table'], row['name'], signature, columns, native,
                      row['referred_name'], tuple(referred.get(number, '') for number in row['referred_key'] or ()),
                      False, clone, row['parent'], row['relation'], row['index'] if kind != 'fk' else 0, odd, row=row)

    def index(self, row):
        """The object for an index."""
        columns = self.index_columns(row)
        return Object(row['oid'], 'ix', row['schema'], row['table'], row['name'],
                      ('ix', row['schema'], row['table'], *self.index_signature(row)), columns, tuple(row['own']),
                      unique=row['unique'], clone='clone' if row['parent'] else '', parent=row['parent'] or 0,
                      relation=row['relation'], odd=self.is_odd(row, columns), valid=row['valid'], row=row)

    @staticmethod
    def index_signature(row):
        """All about an index but its name."""
        return tuple(row[name] for name in ('definition', 'unique', 'primary', 'valid', 'clustered', 'replident',
                                            'immediate', 'comment')) + (bool(row['parent']), tuple(row['own']))

    def index_columns(self, row):
        """The first column of each key, each once."""
        names, found = self.columns_of(row['relation']), []
        expressions = iter(parse_nodes(row['expressions']) if row['expressions'] else ())
        for number in row['key'][:row['keys']]:
            if number:
                found.append(names.get(number, ''))
            else:
                columns = [names[item] for item in breadth_first(next(expressions), self.operators) if item]
                found += columns[:1]
        return tuple(dict.fromkeys(found))

    @staticmethod
    def is_odd(row, columns):
        """Whether PostgreSQL's own name has other words: expressions, INCLUDE, columns renamed since."""
        return tuple(row['own']) != columns

    def named(self, schema, name):
        """What has a name: oids of relations, indexes and constraints."""
        empty = set()
        return self.relation_names[schema].get(name, empty) | self.constraint_names[schema].get(name, empty)

    def tables(self, kinds='rpf'):
        """The tables of these kinds."""
        return [row for row in self.relations.values() if row['kind'] in kinds]

    def check_names(self, relation):
        """Names of CHECK constraints of other tables."""
        return {item.name for item in self.objects.values() if item.kind == 'ck' and item.relation != relation}


def relation_rows(catalog):
    """What two databases must have in common about relations, as {(schema, name): row}."""
    oids = ('oid', 'parent_oids')
    return {(row['schema'], row['name']): {key: item for key, item in row.items() if key not in oids}
            for row in catalog.relations.values()}


def origins(catalog):
    """oid → oid of the constraint or index of a parent that a clone comes from."""
    result = {}
    for item in catalog.objects.values():
        if item.parent:
            result[item.oid] = item.parent
        elif item.clone:
            parents = catalog.relations[item.relation]['parent_oids'] or ()
            result[item.oid] = next((other.oid for other in catalog.objects.values() if other.relation in parents
                                     and (other.kind, other.name) == (item.kind, item.name)), 0)
    return result


def pair(old, plain, managed):
    """Which objects belong together, as plain oid → managed oid, and lines about those without a partner.

    A clone belongs to what its original belongs to; equals belong together in the order of their making.
    """
    pairs = {one: other for one, other in old.items() if one in plain.objects and other in managed.objects}
    back = {other: one for one, other in pairs.items()}
    above = origins(plain), origins(managed)
    lines = []
    while True:
        groups = defaultdict(lambda: ([], []))
        for side, catalog, known, ours in ((0, plain, pairs, above[0]), (1, managed, back, above[1])):
            for item in catalog.objects.values():
                if item.oid not in known:
                    original = ours.get(item.oid)
                    if side and original:
                        original = back.get(original, -original)
                    groups[item.signature, original][side].append(item)
        found = {one.oid: other.oid for items in groups.values()
                 for one, other in zip(*(sorted(side, key=lambda item: item.oid) for side in items))}
        if not found:
            break
        pairs.update(found)
        back.update({other: one for one, other in found.items()})
    for items in groups.values():
        for side, rest in zip(('plain', 'managed'), items):
            lines += [f'  only {side}: {item.kind} {item.name}: {item.signature}' for item in rest]
    for one, other in pairs.items():
        first, second = plain.objects[one], managed.objects[other]
        if first.signature != second.signature:
            lines.append(f'  differs: {first.name} {first.signature} / {second.name} {second.signature}')
    return pairs, lines
