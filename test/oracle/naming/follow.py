"""What happens to the names of what is there when a table or a column is renamed."""

import re

from twin.unit import Mismatch

from .model import audit
from .templates import wants_name

SEQUENCE = re.compile(r"nextval\('.*'::regclass\)")


def without_sequences(rows):
    """Rows of relations without the sequences and what names them."""
    result = {}
    for key, row in rows.items():
        if row['kind'] != 'S':
            columns = [[SEQUENCE.sub('nextval', value) if isinstance(value, str) else value for value in column]
                       for column in row['columns'] or ()]
            result[key] = {**row, 'columns': columns}
    return result


class Follow:
    """Names that followed the convention before a rename, and after it."""

    def __init__(self, unit, statement, before, after):
        self.unit = unit
        self.settings = unit.settings
        self.statement = statement
        self.before = before
        self.after = after

    def run(self, renamed, plain_before, plain_after, pairs):
        """Compares with what the settings promise."""
        if not self.statement.renames:
            if renamed:
                raise Mismatch([f'warned of names after a statement that renames nothing: {renamed}'])
            return
        config = self.unit.config
        followed = {item.oid for item, conforms, _ in audit(config, self.before) if conforms}
        open_before = {item.oid for item, conforms, _ in audit(config, self.before) if conforms is None}
        now = {item.oid: (item, conforms) for item, conforms, _ in audit(config, self.after)}
        if self.settings.follow:
            self.renamed(followed, open_before, now)
            return
        lost = [item.name for oid, (item, conforms) in now.items() if oid in followed and conforms is False]
        unsure = (open_before or any(conforms is None for _, conforms in now.values())
                  or any(self.is_open(item) for item in self.before.objects.values()))
        wanted = 1 if lost and self.settings.check != 'off' else 0
        if len(renamed) != wanted and not (unsure and len(renamed) <= 1):
            raise Mismatch([f'{len(renamed)} warnings after a rename, expected: {wanted}', *renamed,
                            f'  names that no longer follow: {lost}'])
        missing = [name for name in lost if renamed and name not in renamed[0]]
        if missing and not unsure:
            raise Mismatch([f'the warning does not name {missing}', *renamed])
        self.unit.result.seen['warned after a rename'] += wanted

    def is_open(self, item):
        """Whether a CHECK has its column's name in place of a constraint_name: it may follow, and need not."""
        if item.kind != 'ck' or len(item.columns) != 1 or item.schema == 'pg_temp':
            return False
        rule = self.unit.config.rule(item.schema, 'ck')
        return rule.template is not None and wants_name(rule.template)

    def renamed(self, followed, unsure, now):
        """With naming_follow: what followed follows, what did not keeps its name."""
        for oid, (item, conforms) in now.items():
            old = self.before.objects.get(oid)
            if old is None or oid in unsure:
                continue
            if oid in followed and conforms is False:
                raise Mismatch([f'{item.kind} "{item.name}" (before: "{old.name}") no longer follows the convention'])
            if oid not in followed and item.name != old.name and not self.is_open(item):
                raise Mismatch([f'{item.kind} "{old.name}" did not follow the convention and is now "{item.name}"'])
            if item.name != old.name:
                self.unit.result.seen['followed a rename'] += 1
