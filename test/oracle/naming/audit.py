"""The functions for what exists, against the model: naming_audit, naming_plan, apply_naming and the baseline."""

from twin.unit import Mismatch

from .answer import ask
from .catalog import pair, relation_rows
from .model import audit

AUDIT = '''SELECT objid::bigint, kind, schema, "table", name, expected, conforms, exempt, object,
    classid::regclass::text FROM orm_ext.naming_audit()'''
PLAN = '''SELECT kind, schema, "table", name, new_name, sql, lock_mode FROM orm_ext.naming_plan()'''
VIOLATIONS = 'SELECT objid::bigint, object, name, expected FROM orm_ext.naming_violations'
STRONG = ('fk', 'ck')


class Audit:
    """Looks at everything at the end of a unit, and puts it right."""

    def __init__(self, unit):
        self.unit = unit
        self.session = unit.sessions['managed']

    def rows(self, sql):
        """What a query returns."""
        cursor = self.session.cursor()
        self.unit.history.append(sql)
        cursor.execute(sql)
        return cursor.fetchall()

    def run(self):
        """All of it."""
        seen = self.unit.result.seen
        before = self.unit.look('managed')
        verdicts = audit(self.unit.config, before)
        self.compare(verdicts)
        rng = self.unit.random('audit')
        if rng.random() < 0.3:
            self.baseline()
        plan = self.rows(PLAN)
        seen['names audited'] += len(verdicts)
        seen['names planned'] += len(plan)
        dry = ask(self.session, 'CALL orm_ext.apply_naming(dry_run => true)')
        if dry.sqlstate or len(dry.notices) < len(plan) and len(dry.notices) < 50:
            raise Mismatch(['the dry run does not show the plan', f'  {dry.describe()}'])
        if len(self.rows(PLAN)) != len(plan):
            raise Mismatch(['the dry run has changed the plan'])
        self.apply(rng, plan)
        after = self.unit.look('managed')
        self.compare_names(before, after, verdicts, plan)
        self.compare(audit(self.unit.config, after))
        fixed = self.unrenamable(after)
        left, again = [row for row in self.rows(VIOLATIONS) if row[0] not in fixed], self.rows(PLAN)
        if left or again:
            raise Mismatch(['the plan was applied, but there is more', *[f'  violation: {row}' for row in left],
                            *[f'  plan: {row}' for row in again]])

    @staticmethod
    def unrenamable(catalog):
        """Constraints that PostgreSQL cannot rename: those of typed tables, and those inherited twice."""
        typed = {oid for oid, row in catalog.relations.items() if row['of_type'] != '-'}
        twice = {item.name for item in catalog.objects.values() if item.kind == 'ck' and item.row['inherited'] > 1}
        return {item.oid for item in catalog.objects.values()
                if item.kind in STRONG and (item.relation in typed or item.kind == 'ck' and item.name in twice)}

    def compare(self, verdicts):
        """naming_audit and naming_violations say what the model says."""
        rows, lines = {row[0]: row for row in self.rows(AUDIT)}, []
        wanted = {item.oid: (item, conforms, names) for item, conforms, names in verdicts}
        for oid in rows.keys() - wanted.keys():
            lines.append(f'  should not be judged: {rows[oid]}')
        for oid in wanted.keys() - rows.keys():
            item = wanted[oid][0]
            # Where there is no convention, nothing needs to be said.
            if self.unit.config.rule(item.schema, item.kind).template is not None:
                lines.append(f'  should be judged: {item.kind} {item.name} {item.signature}')
        for oid in wanted.keys() & rows.keys():
            item, conforms, names = wanted[oid]
            row = rows[oid]
            if (item.kind, item.schema, item.table, item.name) != row[1:5]:
                lines.append(f'  is {(item.kind, item.schema, item.table, item.name)}: {row}')
            if conforms is not None and conforms != row[6]:
                lines.append(f'  conforms should be {conforms}: {row}')
            if self.unit.config.is_exempt(item.thing(), item.name) != row[7]:
                lines.append(f'  exempt should be {not row[7]}: {row}')
            if names and row[5] not in names and not conforms:
                lines.append(f'  expected should be one of {sorted(names)}: {row}')
        violations = {row[0] for row in self.rows(VIOLATIONS)}
        if violations != {oid for oid, row in rows.items() if not row[6] and not row[7]}:
            lines.append(f'  naming_violations has {sorted(violations)}')
        if lines:
            raise Mismatch(['naming_audit differs from the model', *lines])

    def baseline(self):
        """Recorded violations are none."""
        before = self.rows(VIOLATIONS)
        recorded = self.rows('SELECT orm_ext.naming_baseline()')[0][0]
        left = self.rows(VIOLATIONS)
        # A constraint and an index of one table may have the same name.
        if recorded != len({row[1] for row in before}) or left:
            raise Mismatch([f'naming_baseline recorded {recorded} violations and left {left}',
                            *[f'  before: {row}' for row in before]])
        cursor = self.session.cursor()
        cursor.execute("DELETE FROM orm_ext.naming_exemption WHERE reason = 'baseline'")
        if sorted(self.rows(VIOLATIONS)) != sorted(before):
            raise Mismatch(['not all violations are back without their exemptions'])
        self.unit.result.seen['baseline'] += 1

    def apply(self, rng, plan):
        """Puts it right, within a transaction or without."""
        transaction = rng.random() < 0.4
        call = 'CALL orm_ext.apply_naming(dry_run => false)'
        for sql in ('BEGIN', call, 'COMMIT') if transaction else (call,):
            self.unit.history.append(sql)
            answer = ask(self.session, sql)
            if answer.sqlstate:
                raise Mismatch(['apply_naming failed', f'  {answer.describe()}', *[f'  plan: {row}' for row in plan]])

    def compare_names(self, before, after, verdicts, plan):
        """Nothing but names has changed, and only those that did not conform."""
        _, lines = pair({oid: oid for oid in before.objects}, before, after)
        if relation_rows(before) != relation_rows(after) or before.others != after.others:
            lines.append('  relations have changed')
        verdict = {item.oid: conforms for item, conforms, _ in verdicts}
        for oid, old in before.objects.items():
            new = after.objects.get(oid)
            if new and new.name != old.name and verdict.get(oid):
                lines.append(f'  {old.kind} {old.name} conforms, but is now {new.name}')
            if new and new.name != old.name and oid in verdict and self.unit.config.is_exempt(old.thing(), old.name):
                lines.append(f'  {old.kind} {old.name} is exempt, but is now {new.name}')
        names = {(item.schema, item.table, item.name) for item in after.objects.values()}
        for kind, schema, table, name, new_name, sql, lock_mode in plan:
            if (schema, table, new_name) not in names:
                lines.append(f'  {name} did not become {new_name}: {sql}')
            if (lock_mode == 'AccessExclusiveLock') != (kind in STRONG):
                lines.append(f'  {kind} {name}: {lock_mode}')
        if lines:
            raise Mismatch(['apply_naming has done something else', *lines])
