"""What the generator knows of both sides."""

from dataclasses import dataclass, field

from .quoting import quote


@dataclass
class Known:
    """The catalogs of both sides, which objects belong together, and what the session is like."""

    config: object
    version: int
    plain: object = None
    managed: object = None
    pairs: dict = field(default_factory=dict)
    transaction: bool = False
    rng: object = None

    @property
    def path(self):
        """The schemas of the search_path that are there."""
        return self.plain.others['path']

    def schemas(self):
        """All schemas but that of temporary tables."""
        return self.plain.names

    def visible(self, row):
        """Whether the bare name of a relation leads to it."""
        for schema in ('pg_temp', *self.path):
            if row['name'] in self.plain.relation_names[schema]:
                return schema == row['schema']
        return False

    def place(self, row):
        """A relation's name as SQL."""
        if self.visible(row) and self.rng.random() < 0.6:
            return quote(row['name'])
        return f"{quote(row['schema'])}.{quote(row['name'])}"

    def name_on(self, managed):
        """A function from an object's oid on the plain side to its name on a side."""
        if managed:
            return lambda oid: self.managed.objects[self.pairs[oid]].name
        return lambda oid: self.plain.objects[oid].name

    def occupants(self, schema, name):
        """Whether what has a name on one side has a partner of the same name on the other."""
        keys = []
        for catalog, pairs in ((self.plain, {one: one for one in self.plain.objects}),
                               (self.managed, {other: one for one, other in self.pairs.items()})):
            found = set()
            for oid in catalog.named(schema, name):
                if oid in catalog.relations:
                    found.add('relation')
                elif oid in catalog.objects:
                    found.add(pairs.get(oid))
                else:
                    found |= {pairs.get(item.oid) for item in catalog.objects.values() if item.index == oid}
            keys.append(found)
        return keys[0] == keys[1]
