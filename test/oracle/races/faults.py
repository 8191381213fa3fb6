"""The self-test: faults that are planted on the side under soft delete have to be noticed."""

from dataclasses import dataclass, replace
import re

from twin.planted import Planted

from .unit import Unit

UNITS = 20      # how many are tried for one fault
SOUND = 1       # and how many without it


def as_it_is(step):
    """The step, unchanged."""
    return step


@dataclass
class Fault:
    """One fault: how soft delete is declared, and what a step is instead."""

    title: str
    options: str = ''           # more arguments of the trigger
    spoil: object = as_it_is


def without_lock(step):
    """Row locks are not taken."""
    return replace(step, soft=re.sub(r' FOR (KEY |NO KEY )?(SHARE|UPDATE).*', '', step.soft))


def with_lock(step):
    """A row lock is taken too many."""
    if step.kind == 'insert':
        return replace(step, soft='WITH lock AS MATERIALIZED (SELECT id FROM parent WHERE id = 1 FOR UPDATE)'
                                  f' {step.soft} RETURNING (SELECT count(*) FROM lock)')
    return step


def kept_back(step):
    """What is committed is not."""
    return replace(step, soft='ROLLBACK' if step.soft == 'COMMIT' else step.soft)


def left_alone(step):
    """Rows are changed otherwise."""
    return replace(step, soft=step.soft.replace('v = v + 1', 'v = v'))


def at_another_level(step):
    """The isolation level is another one."""
    return replace(step, soft=step.soft.replace('REPEATABLE READ', 'READ COMMITTED'))


FAULTS = [
    Fault('foreign keys are off', options=", 'foreign_keys=off'"),
    Fault('row locks are not taken', spoil=without_lock),
    Fault('a row lock too many', spoil=with_lock),
    Fault('what is committed is not', spoil=kept_back),
    Fault('rows are changed otherwise', spoil=left_alone),
    Fault('another isolation level', spoil=at_another_level),
]

PLANTED = Planted('races', Unit, FAULTS, lambda fault: Fault(fault.title), items=10, units=UNITS, sound=SOUND)


def self_test(settings):
    """Plants one fault after the other; returns how many were found and how many were not."""
    return PLANTED.test(settings)
