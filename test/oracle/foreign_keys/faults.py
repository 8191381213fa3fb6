"""The self-test: faults that are planted on the soft side have to be noticed."""

from dataclasses import dataclass, replace

from twin.planted import Planted

from .model import LIVE, MARKER
from .sides import NONE
from .unit import ITEMS, Unit

UNITS = 25      # how many are tried for one fault
SOUND = 1       # and how many without it
REPLICA = 'SET session_replication_role = replica; {}; RESET session_replication_role'
DEAD = {'timestamptz': '{} IS NOT NULL', 'timestamp': '{} IS NOT NULL', 'boolean': '{}', 'bigint': '{} <> 0'}
LATER = {'timestamptz': "{} + interval '1 microsecond'", 'timestamp': "{} + interval '1 microsecond'",
         'bigint': '{} + 1'}


def as_it_is(_unit, _step, answer):
    """The answer, unchanged."""
    return answer


def nothing(*_):
    """Nothing at all."""
    return ()


@dataclass
class Fault:
    """One fault: the statements that plant it, or what becomes of answers and rows."""

    title: str
    statements: object = nothing    # schema → statements for the soft side
    answer: object = as_it_is       # (unit, step, answer) → what we make of the soft side's answer


# Foreign keys that are not what they should be

def other(change):
    """Foreign keys are made again, changed; change: reference → what is different, or nothing."""
    def statements(schema):
        for reference in schema.references:
            changes = change(reference) if reference.enforced else None
            if changes:
                yield f'ALTER TABLE {reference.child_leaf or reference.child.name} DROP CONSTRAINT {reference.name}'
                yield replace(reference, **changes).statement()
    return statements


def action(one, instead):
    """Another ON DELETE."""
    return other(lambda reference: reference.on_delete == one and not reference.only and {'on_delete': instead})


def dropped(schema):
    """No foreign keys."""
    return [f'ALTER TABLE {reference.child_leaf or reference.child.name} DROP CONSTRAINT {reference.name}'
            for reference in schema.references if reference.enforced]


def switched_off(schema):
    """Foreign keys mean nothing to soft deletes."""
    for table in schema.tables:
        if table.managed:
            yield f'DROP TRIGGER soft_delete ON {table.name}'
            yield (f'CREATE TRIGGER soft_delete BEFORE DELETE ON {table.name} FOR EACH ROW'
                   f" EXECUTE FUNCTION orm_ext.soft_delete('{MARKER}', 'foreign_keys=off')")


# Rows that are not what they should be

def is_delete(step):
    """A delete and nothing else."""
    return step.mere


def is_restore(step):
    """A call of restore."""
    return step.kind in ('restore', 'restore_where', 'restore_deletion') and step.sql.startswith('SELECT')


def tampered(update, when=is_delete):
    """After some statements that worked, something is done to the rows of each table.

    update: schema, table → SQL, or nothing.
    """
    def answer(unit, step, given):
        if when(step) and not given.error.state:
            for table in unit.sides.schema.tables:
                sql = update(unit.sides.schema, table) if table.managed else None
                if sql:
                    unit.sides.cursors['soft'].execute(REPLICA.format(sql))
        return given
    return answer


def dead(table, alias=''):
    """Deleted rows only."""
    return DEAD[table.marker].format(f'{alias}{MARKER}')


def revived(_schema, table):
    """A row that was deleted is back."""
    return (f'UPDATE {table.name} SET {MARKER} = {LIVE[table.marker]}'
            f' WHERE id = (SELECT max(id) FROM {table.name} WHERE {dead(table)})')


def one_more(_schema, table):
    """A row was deleted that should not be."""
    return f'DELETE FROM {table.name} WHERE id = (SELECT max(id) FROM {table.name} WHERE id > 0)'


def set_null(schema, table):
    """The reference is really lost."""
    for reference in schema.of(table):
        if reference.keeps and reference.parent.managed and len(reference.columns) == 1:
            column, key = reference.columns[0], reference.referenced[0]
            return (f'UPDATE {table.name} SET {column} = NULL WHERE {column} IN'
                    f' (SELECT y.{key} FROM {reference.parent.name} AS y WHERE {dead(reference.parent, "y.")})')
    return None


def other_stamp(schema, table):
    """Rows of one table carry another stamp than those of the others."""
    if table.marker not in LATER or table is not schema.tables[-1]:
        return None
    return f'UPDATE {table.name} SET {MARKER} = {LATER[table.marker].format(MARKER)} WHERE {dead(table)}'


def payload(_schema, table):
    """A deleted row is not what it was."""
    return f'UPDATE {table.name} SET n = n + 1 WHERE {dead(table)}'


def altered(_schema, table):
    """A live row is not what it was."""
    return f'UPDATE {table.name} SET n = n + 1 WHERE id = (SELECT max(id) FROM {table.name} WHERE id > 0)'


# Answers that are not what they should be

def miscounted(_unit, step, answer):
    """A count is one too many."""
    words = answer.tag.split()
    if step.mere and words[-1:] and words[-1].isdigit():
        return answer._replace(tag=' '.join([*words[:-1], str(int(words[-1]) + 1)]))
    return answer


def restored_more(_unit, step, answer):
    """The count of restored rows is one too many."""
    if not is_restore(step) or not answer.rows:
        return answer
    (name, count), *rest = answer.rows
    return answer._replace(rows=[(name, str(int(count) + 1)), *rest])


def swallowed(_unit, _step, answer):
    """An error is not told."""
    return answer._replace(tag='DELETE 0', error=NONE) if answer.error.state else answer


def told(**fields):
    """An error is told in another way."""
    def spoil(_unit, _step, answer):
        return answer._replace(error=answer.error._replace(**fields)) if answer.error.state else answer
    return spoil


def returned_less(_unit, _step, answer):
    """RETURNING leaves out a row."""
    return answer._replace(rows=answer.rows[1:]) if answer.rows else answer


FAULTS = [
    Fault('no foreign keys', dropped),
    Fault('foreign_keys=off', switched_off),
    Fault('CASCADE is NO ACTION', action('CASCADE', 'NO ACTION')),
    Fault('CASCADE leaves the reference', action('CASCADE', 'SET NULL')),
    Fault('NO ACTION is CASCADE', action('NO ACTION', 'CASCADE')),
    Fault('NO ACTION is RESTRICT', action('NO ACTION', 'RESTRICT')),
    Fault('RESTRICT does nothing', action('RESTRICT', 'SET NULL')),
    Fault('SET NULL is CASCADE', action('SET NULL', 'CASCADE')),
    Fault('what is deferrable is checked at once',
          other(lambda reference: {'deferrable': False, 'deferred': False} if reference.deferrable else None)),
    Fault('what is not deferrable is checked late',
          other(lambda reference: None if reference.deferrable else {'deferrable': True, 'deferred': True})),
    Fault('MATCH FULL is SIMPLE', other(lambda reference: {'full': False} if reference.full else None)),
    Fault('a deleted row is back', answer=tampered(revived)),
    Fault('a row too many is deleted', answer=tampered(one_more)),
    Fault('a reference is really set null', answer=tampered(set_null)),
    Fault('a table has stamps of its own', answer=tampered(other_stamp)),
    Fault('deleted rows change', answer=tampered(payload)),
    Fault('a restored row is deleted again', answer=tampered(one_more, is_restore)),
    Fault('a row too many is restored', answer=tampered(revived, is_restore)),
    Fault('restored rows are not what they were', answer=tampered(altered, is_restore)),
    Fault('restored rows are miscounted', answer=restored_more),
    Fault('a miscount', answer=miscounted),
    Fault('a row is not returned', answer=returned_less),
    Fault('an error is swallowed', answer=swallowed),
    Fault('another SQLSTATE', answer=told(state='XX000')),
    Fault('other words', answer=told(message='foreign key violated')),
    Fault('another row is named', answer=told(detail='')),
]


PLANTED = Planted('foreign_keys', Unit, FAULTS, lambda fault: Fault(fault.title),
                  items=ITEMS, units=UNITS, sound=SOUND)


def self_test(settings):
    """Plants one fault after the other; returns how many were found and how many were not."""
    return PLANTED.test(settings)
