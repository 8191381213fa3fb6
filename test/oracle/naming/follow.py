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
        before, after = (audit(config, catalog) for catalog in (self.before, self.after))
        followed = {item.oid for item, conforms, _ in before if conforms}
        unsure = {item.oid for item, conforms, _ in (*before, *after) if conforms is None}
        unsure |= {item.oid for item in self.before.objects.values() if self.is_open(item)}
        now = {item.oid: (item, conforms) for item, conforms, _ in after}
        if self.settings.follow:
            self.renamed(followed, unsure, now)
        else:
            self.warned(renamed, followed, unsure, now)

    def warned(self, renamed, followed, unsure, now):
        """One warning that lists the names which no longer follow."""
        lost = {item.name for oid, (item, conforms) in now.items() if oid in followed - unsure and conforms is False}
        may = lost | {item.name for oid, (item, _) in now.items() if oid in unsure}
        if self.settings.check == 'off':
            lost, may = set(), set()
        detail = ''.join(line for text in renamed for line in text.split('\n') if line.startswith('DETAIL'))
        listed = {item.name for item, _ in now.values() if f'"{item.name}"' in detail}
        if len(renamed) > 1 or bool(renamed) != bool(listed) or not lost <= listed <= may:
            raise Mismatch(['the warning after a rename is not as expected', *renamed,
                            f'  names that no longer follow: {sorted(lost)}'])
        self.unit.result.seen['warned after a rename'] += len(renamed)

    def is_open(self, item):
        """Whether a name may follow, and need not: exempt, or a CHECK's that is its column's or copied by LIKE."""
        if item.table and self.unit.config.is_exempt(item.thing(), item.name):
            return True
        if item.kind != 'ck' or item.schema == 'pg_temp':
            return False
        if any(item.name in catalog.check_names(item.relation) for catalog in (self.before, self.after)):
            return True
        if len(item.columns) != 1:
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
            if oid not in followed and item.name != old.name:
                raise Mismatch([f'{item.kind} "{old.name}" did not follow the convention and is now "{item.name}"'])
            if item.name != old.name:
                self.unit.result.seen['followed a rename'] += 1
