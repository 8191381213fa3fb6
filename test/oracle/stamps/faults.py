"""The self-test: faults that are planted behind the model's back have to be noticed."""

from dataclasses import dataclass, replace

from twin.planted import Planted

from .unit import ITEMS, Unit

UNITS = 60      # how many are tried for one fault
SOUND = 3       # and how many without it

VALUES = {
    'mode': ('auto', 'strict', 'echo'),
    'overflow': ('error', 'wrap'),
    'clock': ('transaction', 'wall', 'statement'),
    'immutable': ('keep', 'error'),
    'resent': ('keep', 'move'),
    'unit': ('microseconds', 'milliseconds', 'seconds'),
    'zone': ('session', 'utc'),
}


@dataclass
class Fault:
    """One fault: what the tables need, and what spoils them."""

    title: str
    want: tuple             # roles of columns and options
    spoil: object           # (schema, rng, declaration) → statements, none where it does not apply

    def statements(self, schema, rng, declaration):
        """What plants it."""
        return self.spoil(schema, rng, declaration)


def again(schema, declaration, change):
    """Declares all triggers again, changed; none if that changes nothing."""
    statements = []
    for table, stamps in schema.declarations:
        changed = change(stamps)
        if changed is not None and declaration(table, changed) != declaration(table, stamps):
            statements += [f'DROP TRIGGER {stamps.name} ON {table}', declaration(table, changed)]
    return statements


def other_option(option):
    """Another value of an option than the model's."""
    def spoil(schema, rng, declaration):
        def change(stamps):
            if option not in stamps.options:
                return None
            values = [value for value in VALUES[option] if value != stamps.options[option]]
            return replace(stamps, options={**stamps.options, option: rng.choice(values)})
        return again(schema, declaration, change)
    return spoil


def without_ignore(schema, _rng, declaration):
    """Nothing is ignored."""
    return again(schema, declaration, lambda stamps: replace(stamps, ignore=frozenset()))


def without(role):
    """One column is forgotten."""
    def spoil(schema, _rng, declaration):
        return again(schema, declaration, lambda stamps: replace(stamps, **{role: None}))
    return spoil


def disabled(schema, _rng, _declaration):
    """All triggers of the extension are switched off."""
    return [f'ALTER TABLE {table} DISABLE TRIGGER {stamps.name}' for table, stamps in schema.declarations]


def tampered(role, body, families=()):
    """Another trigger changes what ours did."""
    def spoil(schema, _rng, _declaration):
        column = schema.by_role(role)
        if families and column.type.family not in families:
            return []
        text = body.replace('{c}', column.sql)
        statements = [f'CREATE FUNCTION tamper() RETURNS trigger LANGUAGE plpgsql AS\n$$\nBEGIN\n    {text}\n'
                      '    RETURN NEW;\nEND;\n$$']
        tables = list(schema.leaves) if schema.kind == 'inheritance' else ['t']
        return statements + [f'CREATE TRIGGER zzzz_tamper BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW'
                             ' EXECUTE FUNCTION tamper()' for table in tables]
    return spoil


FAULTS = [
    Fault('triggers switched off', ('version',), disabled),
    *(Fault(f'another {option}', ('version', 'created', 'updated', option), other_option(option)) for option in VALUES),
    Fault('nothing is ignored', ('version', 'updated', 'ignore'), without_ignore),
    *(Fault(f'{role} is forgotten', ('version', role), without(role))
      for role in ('created', 'updated', 'created_by', 'updated_by', 'change_id')),
    Fault('a version too far', ('version',), tampered(
        'version', "IF TG_OP = 'UPDATE' AND NEW.{c} = OLD.{c} + 1 THEN NEW.{c} := NEW.{c} + 1; END IF;", ('int',))),
    Fault('a version that is no random uuid', ('version',), tampered(
        'version', 'NEW.{c} := md5(NEW.{c}::text)::uuid;', ('uuid',))),
    Fault('a stamp off by a microsecond', ('version', 'updated', 'clock'), tampered(
        'updated', "IF NEW.{c} > now() - interval '1 hour' THEN NEW.{c} := NEW.{c} + interval '1 microsecond'; END IF;",
        ('tz',))),
    Fault('a stamp that stands still', ('updated',), tampered(
        'updated', "IF TG_OP = 'UPDATE' AND NEW.note IS NOT DISTINCT FROM OLD.note THEN NEW.{c} := OLD.{c}; END IF;")),
    Fault('the creation time moves', ('created',), tampered(
        'created', "IF TG_OP = 'UPDATE' THEN NEW.{c} := NEW.{c} + interval '1 second'; END IF;", ('tz', 'ts'))),
    Fault('another number of the transaction', ('change_id',), tampered(
        'change_id', 'NEW.{c} := NEW.{c} - 1;')),
    Fault('parents are not touched', (), lambda schema, _rng, _declaration:
          ['DROP TRIGGER touch ON t'] if schema.parent and schema.parent.touching else []),
    Fault('rows are swallowed', ('version',), tampered(
        'version', "IF TG_OP = 'UPDATE' AND NEW.{c} = OLD.{c} THEN RETURN NULL; END IF;")),
    Fault('a bump without a change', ('version',), tampered(
        'version', "IF TG_OP = 'UPDATE' AND NEW IS NOT DISTINCT FROM OLD THEN NEW.{c} := NEW.{c} + 1; END IF;",
        ('int',))),
]


PLANTED = Planted('stamps', Unit, FAULTS, lambda fault: replace(fault, spoil=lambda *_: []),
                  items=ITEMS, units=UNITS, sound=SOUND)


def self_test(settings):
    """Plants one fault after the other; returns how many were found and how many were not."""
    return PLANTED.test(settings)
