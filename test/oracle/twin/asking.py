"""Queries that ask for deleted rows, against a reference on the same side.

There is no twin for them.  The reference runs while orm_ext.deleted_rows is show, so that
nothing is filtered behind its back, and names a sub-query with an explicit condition wherever the
rules say that a table reference is filtered.
"""

from .expressions import Scope
from .model import DEAD_TEST, LIVE_TEST, LIVE_VALUE, Step
from .queries import Queries

SIMPLE = ('t_a', 't_b', 't_c', 't_d', 't_gen', 't_nokey', 't_rls', 'p_range', 'p_list', 'p_mark', 'p_range_1',
          'p_range_3', 'p_list_2')


class Asking(Queries):
    """The part of the generator that asks for deleted rows."""

    def asking(self):
        """One statement, by a mention of the marker or by the setting."""
        form = self.rng.choices((self.mentioning, self.setting, self.writing), (6, 2, 3))[0]
        return form()

    def managed_source(self):
        """A managed table by name, as (text, Source)."""
        names = [name for name in SIMPLE if any(item.name == name for item in self.schema.relations)]
        text, source, _ = self.table_source(self.alias(), self.schema.relation(self.rng.choice(names)))
        # Here deleted rows are evaluated, so nothing may divide by their poison.
        source.columns = [column for column in source.columns if column.name != 'poison']
        return text, source

    @staticmethod
    def restricted(text, source, test):
        """The reference's form of a table: only the rows that pass a test of the marker."""
        marker, alias = source.relation.marker, source.alias
        return f'(SELECT * FROM {text} WHERE {test[marker.type].format(f"{alias}.{marker.name}")}) AS {alias}'

    def mention(self, source):
        """A condition that puts the query in charge of the rows of a source."""
        marker = source.relation.marker
        name = f'{source.alias}.{marker.name}'
        dead, live = DEAD_TEST[marker.type].format(name), LIVE_TEST[marker.type].format(name)
        return self.rng.choice((
            f'orm_ext.with_deleted({name})', f'orm_ext.with_deleted({name})', dead, live,
            f'({live} OR {source.alias}.grp = {self.rng.randrange(7)})', f"coalesce({name}::text, '') <> 'x'",
            f'({dead}) IS NOT NULL', f'{name} IS DISTINCT FROM {LIVE_VALUE[marker.type]}'))

    def joined_sources(self):
        """One to three sources with join words and conditions."""
        parts = []
        for number in range(self.rng.choice((1, 1, 2, 2, 3))):
            text, source = self.managed_source()
            condition = self.expressions.equality([item[1] for item in parts], [source]) if number else ''
            parts.append((text, source, self.rng.choice(('JOIN', 'LEFT JOIN', 'FULL JOIN')), condition or 'true'))
        if any(condition == 'true' for *_, condition in parts[1:]):
            parts = parts[:1]
        return parts

    def mentioning(self):
        """Some references are mentioned in WHERE or ON of their level, the others are filtered."""
        rng, parts = self.rng, self.joined_sources()
        sources = [source for _, source, *_ in parts]
        chosen = rng.sample(sources, rng.randint(1, len(sources)))
        conditions = [self.expressions.condition(Scope(sources), 0)] if self.chance(0.5) else []
        text, reference = '', ''
        for number, (table, source, word, condition) in enumerate(parts):
            if source in chosen and number and self.chance(0.5):
                condition += f' AND {self.mention(source)}'
            elif source in chosen:
                conditions.append(self.mention(source))
            tail = f' ON {condition}' if number else ''
            head = f' {word} ' if number else ''
            text += f'{head}{table}{tail}'
            reference += f'{head}{table if source in chosen else self.restricted(table, source, LIVE_TEST)}{tail}'
        outputs = ', '.join(f'{source.alias}.id, {source.alias}.grp, {source.alias}.{source.relation.marker.name}'
                            for source in sources)
        if self.chance(0.3):
            # A sub-query is a level of its own: the outer mention does not reach it.
            table, source = self.managed_source()
            link = self.expressions.equality(sources, [source])
            conditions.append(f'EXISTS (SELECT 1 FROM OTHER_TABLE WHERE {link})')
            where = f" WHERE {' AND '.join(conditions)}"
            text += where.replace('OTHER_TABLE', table)
            reference += where.replace('OTHER_TABLE', self.restricted(table, source, LIVE_TEST))
        elif conditions:
            text, reference = (f"{part} WHERE {' AND '.join(conditions)}" for part in (text, reference))
        self.seen['asking by mention'] += 1
        return [Step(f'SELECT {outputs} FROM {text}', 'asking by mention',
                     reference=f'SELECT {outputs} FROM {reference}')]

    def setting(self):
        """The whole statement under show or only."""
        visible = self.rng.choice(('show', 'only'))
        parts = self.joined_sources()
        text, reference = '', ''
        for number, (table, source, word, condition) in enumerate(parts):
            tail = f' ON {condition}' if number else ''
            head = f' {word} ' if number else ''
            text += f'{head}{table}{tail}'
            reference += f"{head}{table if visible == 'show' else self.restricted(table, source, DEAD_TEST)}{tail}"
        outputs = ', '.join(f'{source.alias}.id, {source.alias}.name' for _, source, *_ in parts)
        self.seen[f'asking with {visible}'] += 1
        return [Step(f'SELECT {outputs} FROM {text}', 'asking by setting', visible=visible,
                     reference=f'SELECT {outputs} FROM {reference}')]

    def writing(self):
        """UPDATE and DELETE that reach deleted rows, against a SELECT of the same rows before."""
        text, source = self.managed_source()
        marker, alias = source.relation.marker, source.alias
        text = text.split(' TABLESAMPLE')[0]
        condition = f'{self.expressions.condition(Scope([source]), 0)} AND {alias}.id % 3 = 1'
        dead = DEAD_TEST[marker.type].format(f'{alias}.{marker.name}')
        form = self.rng.choice(('update', 'restore', 'purge'))
        if form == 'restore' and (source.relation.unique or source.relation.kind == 'partition'):
            form = 'update'     # unique values of restored rows could clash
        self.seen[f'asking: {form}'] += 1
        if form == 'update':
            condition += f' AND {self.mention(source)}'
            sql = f'UPDATE {text} SET name = {alias}.name WHERE {condition}'
        elif form == 'restore':
            sql = f'UPDATE {text} SET {marker.name} = {LIVE_VALUE[marker.type]} WHERE {condition}'
        else:
            condition += f' AND {dead}'
            sql = f'DELETE FROM {text} WHERE {condition}'
        outputs = f'{alias}.id, {alias}.qty'
        return [Step(f'{sql} RETURNING {outputs}', f'asking: {form}', compare='rows',
                     reference=f'SELECT {outputs} FROM {text} WHERE {condition}')]
