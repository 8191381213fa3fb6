"""The self-test: faults that are planted behind the model's back have to be noticed."""

from dataclasses import dataclass, replace

from twin.planted import Planted

from .settings import strict_rows
from .templates import KINDS
from .unit import ITEMS, Unit

UNITS = 40      # how many are tried for one fault
SOUND = 1       # and how many without it

RENAMED = '''EXECUTE format('ALTER INDEX %s RENAME TO %I', item.objid::regclass,
    left((SELECT relname FROM pg_class WHERE oid = item.objid), 50) || '_x')'''
LOST = '''FOR found IN SELECT * FROM pg_constraint WHERE conrelid = item.objid AND contype = 'c' AND coninhcount = 0
    LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', item.objid::regclass, found.conname); END LOOP'''
OPTION = '''EXECUTE format('ALTER INDEX %s SET (fillfactor = 77)', item.objid::regclass)'''


@dataclass
class Fault:
    """One fault: the settings that it needs, and what spoils the managed side."""

    title: str
    want: object            # changes the unit's settings
    spoil: object           # settings → statements

    def prepare(self, settings):
        """Makes the settings such that the fault matters."""
        self.want(settings)

    def statements(self, settings):
        """What plants it."""
        return self.spoil(settings)


def wanting(**values):
    """Settings that a fault needs."""
    def want(settings):
        """Changes them."""
        for name, value in values.items():
            setattr(settings, name, value)
        if 'mode' in values:
            settings.rows = strict_rows() if settings.strict else {}
    return want


def saying(*statements):
    """A fault that some statements make."""
    return lambda settings: statements


def trigger(event, tag, types, body):
    """A fault that an event trigger makes."""
    condition = f"WHERE object_type IN ({types})" if types else ''
    return saying(f'''CREATE FUNCTION pg_temp.spoil() RETURNS event_trigger LANGUAGE plpgsql AS $spoil$
        DECLARE item record; found record;
        BEGIN FOR item IN SELECT * FROM pg_event_trigger_ddl_commands() {condition} LOOP {body}; END LOOP;
        END $spoil$''',
                  f"CREATE EVENT TRIGGER spoil ON {event} WHEN TAG IN ({tag}) EXECUTE FUNCTION pg_temp.spoil()")


def other_template(kind):
    """Another template for a kind than the model's."""
    return Fault(f'another template for {kind}', wanting(mode='default', fill=True), saying(
        'INSERT INTO orm_ext.naming_template (kind, template)'
        f" VALUES ('{kind}', 'z_%(table_name)s_%(column_0_name)s')"))


FAULTS = [
    *map(other_template, KINDS),
    Fault('names are not filled', wanting(mode='default', fill=True), saying('SET orm_ext.naming_fill = off')),
    Fault('only the first column', wanting(mode='strict', fill=True), saying(
        "UPDATE orm_ext.naming_template SET template = replace(template, '0_N', '0')"
        " WHERE kind IN ('uq', 'fk', 'ix')")),
    Fault('long names are cut by the other rule', wanting(mode='strict', fill=True), saying(
        "UPDATE orm_ext.naming_template SET overflow = 'sqlalchemy'")),
    Fault('the schema in a label', wanting(mode='default', fill=True), saying(
        "INSERT INTO orm_ext.naming_template (kind, template, schema_in_label)"
        " VALUES ('ix', '%(column_0_label)s_idx', true)")),
    Fault('a convention for one schema', wanting(mode='default', fill=True), saying(
        'INSERT INTO orm_ext.naming_template (schema, kind, template)'
        " VALUES ('two', 'uq', 'uq_%(column_0_label)s')")),
    Fault('no warnings', wanting(check='warn'), saying('SET orm_ext.naming_check = off')),
    Fault('no errors', wanting(check='error'), saying('SET orm_ext.naming_check = warn')),
    Fault('errors in place of warnings', wanting(check='warn'), saying('SET orm_ext.naming_check = error')),
    Fault('warnings where there should be none', wanting(check='off'), saying('SET orm_ext.naming_check = warn')),
    Fault('names do not follow', wanting(follow=True), saying('SET orm_ext.naming_follow = off')),
    Fault('names follow', wanting(follow=False, check='warn'), saying('SET orm_ext.naming_follow = on')),
    Fault('names are exempt', wanting(check='warn'), saying(
        "INSERT INTO orm_ext.naming_exemption (pattern, reason) VALUES ('a', 'fault')")),
    Fault('an index gets another name', wanting(fill=True), trigger(
        'ddl_command_end', "'CREATE INDEX', 'CREATE TABLE'", "'index'", RENAMED)),
    Fault('checks get lost', wanting(), trigger('ddl_command_end', "'CREATE TABLE'", "'table'", LOST)),
    Fault('an index gets an option', wanting(), trigger('ddl_command_end', "'CREATE INDEX'", "'index'", OPTION)),
    Fault('a notice too many', wanting(), trigger('ddl_command_end', "'ALTER TABLE'", '', "RAISE NOTICE 'fault'")),
    Fault('a statement fails', wanting(), trigger(
        'ddl_command_end', "'CREATE INDEX'", '', "RAISE division_by_zero USING MESSAGE = 'fault'")),
    Fault('nothing is applied', wanting(explicit=0.6), saying(
        "CREATE OR REPLACE PROCEDURE orm_ext.apply_naming(schema name DEFAULT NULL, dry_run boolean DEFAULT true)"
        " LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; END $$")),
    Fault('no baseline', wanting(explicit=0.6), saying(
        'CREATE OR REPLACE FUNCTION orm_ext.naming_baseline(schema name DEFAULT NULL, reason text DEFAULT NULL,'
        " until timestamptz DEFAULT 'infinity') RETURNS bigint LANGUAGE sql AS $$ SELECT 1::bigint $$")),
]


PLANTED = Planted('naming', Unit, FAULTS, lambda fault: replace(fault, spoil=saying()),
                  items=ITEMS, units=UNITS, sound=SOUND)


def self_test(settings):
    """Plants one fault after the other; returns how many were found and how many were not."""
    return PLANTED.test(settings)
