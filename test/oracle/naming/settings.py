"""The conventions and settings of a unit."""

from dataclasses import dataclass, field

from .quoting import literal
from .templates import Config, KINDS, PRESETS, Rule
from .words import SCHEMAS

TEMPLATES = {
    'pk': ('pk_%(table_name)s', '%(table_name)s_pk', '%(table_name)s_%(column_0_N_name)s_pkey', 'PK%%_%(table_name)s',
           '%(table_name)s_%(constraint_name)s'),
    'uq': ('uq_%(table_name)s_%(column_0_name)s', 'uq_%(table_name)s_%(column_0_N_name)s',
           '%(table_name)s_%(column_1_name)s_uq', 'uq_%(column_0N_name)s', '%(column_0_N_label)s_key', 'unique',
           'uq_%(table_name)s_%(constraint_name)s', '%(table_name)s_%(column_0_key)s_key'),
    'fk': ('fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s',
           '%(table_name)s_%(referred_column_0_name)s_fk',
           'fk_%(column_0_label)s_%(referred_column_0_N_name)s', 'fk_%(table_name)s_%(column_0_N_name)s',
           '%(referred_table_name)s_%(table_name)s_%(column_0_name)s_fkey'),
    'ck': ('ck_%(table_name)s_%(constraint_name)s', '%(constraint_name)s_check',
           'ck_%(table_name)s_%(column_0_name)s', '%(table_name)s_%(column_0_N_name)s_check', '%(table_name)s_ck'),
    'ix': ('ix_%(column_0_label)s', 'ix_%(table_name)s_%(column_0_N_name)s', '%(column_0_N_label)s_idx',
           'index', '%(table_name)s_%(column_0_name)s_%(column_1_name)s_idx', 'ix_%(column_0N_name)s',
           '%(table_name)s_%(constraint_name)s_idx'),
    'ex': ('ex_%(table_name)s_%(column_0_name)s', '%(table_name)s_%(column_0N_name)s_excl', '%(table_name)s_excl'),
}

EXEMPT = ('foo', r'\.idx$', '^one', '_check$', '"', r'^two\.[a-z_]+\.', r'_[0-9a-f]{4}"?$', r'\.(pk1|key7|o)')


def strict_rows():
    """The conventions that give PostgreSQL's own names."""
    return {(None, kind): Rule(template, 'postgres') for kind, template in PRESETS['all_columns'].items()}


@dataclass
class Settings:
    """What a unit runs under."""

    mode: str                   # strict (all_columns as PostgreSQL cuts it), default, custom
    check: str
    fill: bool
    follow: bool
    explicit: float             # how many constraints have names
    rows: dict = field(default_factory=dict)
    exempt: str = None          # a pattern
    expired: bool = False       # and whether it no longer counts

    @property
    def strict(self):
        """Whether names are PostgreSQL's own."""
        return self.mode == 'strict'

    @property
    def config(self):
        """The model's form of the conventions."""
        return Config(self.rows, None if self.expired else self.exempt)

    @staticmethod
    def choose(rng):
        """Random settings."""
        mode = rng.choices(('strict', 'default', 'custom'), (7, 6, 7))[0]
        rows = {}
        if mode == 'strict':
            rows = strict_rows()
        elif mode == 'custom':
            for schema in (None, *rng.sample(SCHEMAS, rng.randint(0, 2))):
                for kind in KINDS:
                    if rng.random() < 0.7:
                        choices = (*TEMPLATES[kind], PRESETS['all_columns'][kind])
                        template = rng.choice(choices) if rng.random() < 0.95 else None
                        overflow = rng.choice(('sqlalchemy', 'postgres'))
                        rows[schema, kind] = Rule(template, overflow, rng.random() < 0.3)
        return Settings(mode, rng.choices(('off', 'warn', 'error'), (2, 7, 6))[0], rng.random() < 0.95,
                        rng.random() < 0.25, rng.choice((0.1, 0.3, 0.6)), rows,
                        rng.choice(EXEMPT) if rng.random() < 0.25 else None, rng.random() < 0.3)

    def statements(self):
        """What sets them."""
        result = ['DELETE FROM orm_ext.naming_template', 'DELETE FROM orm_ext.naming_exemption']
        if self.strict:
            result.append("SELECT orm_ext.use_naming('all_columns', overflow => 'postgres')")
        else:
            for (schema, kind), rule in self.rows.items():
                values = (schema, kind, rule.template, rule.overflow)
                texts = ['NULL' if text is None else literal(text) for text in values]
                result.append('INSERT INTO orm_ext.naming_template (schema, kind, template, overflow,'
                              f" schema_in_label) VALUES ({', '.join(texts)}, {str(rule.schema_in_label).lower()})")
        if self.exempt:
            until = "now() - interval '1 second'" if self.expired else "'infinity'"
            result.append('INSERT INTO orm_ext.naming_exemption (pattern, reason, until)'
                          f" VALUES ({literal(self.exempt)}, 'oracle', {until})")
        return [*result, f'SET orm_ext.naming_check = {self.check}',
                f'SET orm_ext.naming_fill = {str(self.fill).lower()}',
                f'SET orm_ext.naming_follow = {str(self.follow).lower()}']

    def seen(self):
        """For the summary."""
        return [f'conventions: {self.mode}', f'naming_check = {self.check}', *['naming_fill off'] * (not self.fill),
                *['naming_follow'] * self.follow, *['exemption'] * bool(self.exempt and not self.expired)]

    def __str__(self):
        rows = ', '.join(f'{schema or "*"} {kind} {rule.template} {rule.overflow}'
                         f'{" schema_in_label" if rule.schema_in_label else ""}'
                         for (schema, kind), rule in self.rows.items()) if self.mode == 'custom' else ''
        return (f'{self.mode}, naming_check = {self.check}, naming_fill = {self.fill}, naming_follow = {self.follow},'
                f' exempt = {self.config.exempt}'
                f'{"; " if rows else ""}{rows}')
