"""Ways to run a statement: prepared, in a function, in a block, in WITH."""

from dataclasses import dataclass, field

from .statements import Outcome, Statement
from .types import SqlError, Unsure


@dataclass
class Template:
    """An UPDATE or DELETE with parameters, prepared or in a function of PL/pgSQL."""

    name: str
    statement: Statement
    columns: list               # of the parameters
    function: bool = False
    ran: bool = False           # its plan may be cached

    def create(self):
        """What makes it."""
        kinds = ', '.join(column.type.sql.split('(')[0] for column in self.columns)
        if not self.function:
            return f'PREPARE {self.name} ({kinds}) AS {self.statement.sql()}'
        return (f'CREATE FUNCTION {self.name}({kinds}) RETURNS bigint LANGUAGE plpgsql AS\n'
                f'$$\nDECLARE\n    n bigint;\nBEGIN\n    {self.statement.sql()};\n'
                '    GET DIAGNOSTICS n = ROW_COUNT;\n    RETURN n;\nEND;\n$$')

    def drop(self):
        """What takes it away."""
        return f'DROP FUNCTION {self.name}' if self.function else f'DEALLOCATE {self.name}'


@dataclass
class Execute(Statement):
    """A template with values."""

    template: Template
    values: list
    kind = 'execute'

    def __post_init__(self):
        self.kind = 'function' if self.template.function else 'execute'
        if not self.template.function:
            self.returning, self.star = self.template.statement.returning, self.template.statement.star

    def sql(self):
        """The statement."""
        values = ', '.join(column.type.literal(value) if column.type.family != 'int'
                           else f'{column.type.literal(value)}::{column.type.sql}'
                           for column, value in zip(self.template.columns, self.values))
        if self.template.function:
            return f'SELECT {self.template.name}({values})'
        return f'EXECUTE {self.template.name}({values})'

    def apply(self, state, context):
        """What has to come of it."""
        inner = self.template.statement
        inner.parameters = tuple(column.type.coerce(value) if column.type.family == 'int' else value
                                 for column, value in zip(self.template.columns, self.values))
        cached = self.template.ran and context.guard != 'off'
        if cached:
            # The guard speaks when a plan is made, which may have been earlier.
            try:
                outcome = inner.apply(state, context.but(guard='off'))
            except SqlError as error:
                raise SqlError(*error.states, 'OE002') from error
            outcome.may_fail.add('OE002')
            outcome.warning = None
        else:
            outcome = inner.apply(state, context)
        if self.template.function:
            count = outcome.tag.split()[-1]
            outcome.tag, outcome.rows, outcome.answer = 'SELECT 1', None, [(count,)]
        return outcome


@dataclass
class With(Statement):
    """A statement in WITH, its rows counted."""

    inner: Statement
    kind = 'with'

    def sql(self):
        """The statement."""
        return f'WITH w AS ({self.inner.sql()}) SELECT count(*), sum(id) FROM w'

    def apply(self, state, context):
        """What has to come of it."""
        outcome = self.inner.apply(state, context)
        ids = [row['id'] for row in outcome.rows]
        total = str(sum(ids)) if ids else None
        outcome.tag, outcome.rows, outcome.answer = 'SELECT 1', None, [(str(len(ids)), total)]
        return outcome


@dataclass
class Block(Statement):
    """DO: several statements, some of which may fail without harm."""

    steps: list                 # (Statement, caught)
    kind: str = 'block'
    caught: list = field(default_factory=list)

    def sql(self):
        """The statement."""
        lines = ['DO $$', 'BEGIN']
        for step, caught in self.steps:
            if caught:
                lines += ['    BEGIN', f'        {step.sql()};', '    EXCEPTION WHEN OTHERS THEN NULL;', '    END;']
            else:
                lines.append(f'    {step.sql()};')
        return '\n'.join([*lines, 'END', '$$'])

    def apply(self, state, context):
        """What has to come of it."""
        if context.guard == 'warn':
            raise Unsure
        outcome = Outcome(state, 'DO')
        for step, caught in self.steps:
            try:
                inner = step.apply(outcome.state, context)
            except SqlError:
                if caught:
                    continue
                raise
            if inner.may_fail:
                raise Unsure
            outcome.state = inner.state
        return outcome
