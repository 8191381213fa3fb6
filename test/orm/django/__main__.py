"""Django: a version by F() expressions, full-row save(), times of the server.

Needs the databases django_plain and django_managed, the latter with the
extension; test/orm/run makes them.  Each has two aliases, that is two sessions.
"""

import re
import subprocess
import sys
import threading
import time
import unittest

import django
from django.conf import settings

settings.configure(
    DATABASES={
        alias: {'ENGINE': 'django.db.backends.postgresql',
                'NAME': 'django_' + alias.rstrip('2')}
        for alias in ('plain', 'plain2', 'managed', 'managed2')
    } | {'default': {}},
    DEFAULT_AUTO_FIELD='django.db.models.AutoField',
    INSTALLED_APPS=[], USE_TZ=True, TIME_ZONE='UTC')
django.setup()

from django.db import DatabaseError, connections, models, transaction  # noqa
from django.db.models import F  # noqa
from django.test.utils import CaptureQueriesContext  # noqa


class Doc(models.Model):
    """Plain columns; who counts is up to the code, or the server."""

    title = models.TextField(unique=True)
    views = models.IntegerField(default=0)
    version = models.IntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        app_label = 'shop'


class Sheet(models.Model):
    """All stamps are the server's; save() sends back what it has read."""

    title = models.TextField()
    note = models.TextField(default='')
    version = models.IntegerField(null=True, editable=False)
    created_at = models.DateTimeField(null=True, editable=False)
    updated_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        app_label = 'shop'

    def save(self, *args, **kwargs):
        """The whole recipe for an application: read what the server made."""
        super().save(*args, **kwargs)
        self.refresh_from_db(
            fields=['version', 'created_at', 'updated_at'])


class Quiet(models.Model):
    """As Sheet, in a table that declares nothing special."""

    title = models.TextField()
    version = models.IntegerField(null=True)
    updated_at = models.DateTimeField(null=True)

    class Meta:
        app_label = 'shop'


MODELS = (Doc, Sheet, Quiet)
TRIGGERS = {
    'shop_doc': "stamp('version=version', 'created=created_at',"
                " 'updated=updated_at', 'ignore=views')",
    # Two, since resent=move would have a save() that changes nothing count.
    'shop_sheet': "version('version', 'mode=echo')",
    'shop_quiet': "stamp('version=version', 'updated=updated_at')",
}
TIMES = {'shop_sheet': "timestamps('created_at', 'updated_at', 'resent=move')"}


def create(alias):
    with connections[alias].schema_editor() as editor:
        for model in MODELS:
            editor.create_model(model)
        if alias == 'managed':
            for name, triggers in ('zz_stamp', TRIGGERS), ('zz_times', TIMES):
                for table, function in triggers.items():
                    editor.execute(
                        'CREATE TRIGGER %s BEFORE INSERT OR UPDATE ON %s'
                        ' FOR EACH ROW EXECUTE FUNCTION orm_ext.%s' % (
                            name, table, function), params=None)


class Side:
    """One of the databases: two sessions, and what psql does in between."""

    def __init__(self, alias):
        self.managed = alias == 'managed'
        self.one, self.two = alias, alias + '2'
        self.name = connections[alias].settings_dict['NAME']

    def sql(self, statement):
        with connections[self.one].cursor() as cursor:
            cursor.execute(statement)

    def psql(self, statement):
        return subprocess.run(
            ['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', statement,
             self.name],
            check=True, text=True, capture_output=True).stdout.strip()

    def meanwhile(self, work):
        """Lets another session do what has to wait for a lock."""
        answers = []

        def run():
            try:
                answers.append(work())
            finally:
                connections.close_all()  # of this thread

        thread = threading.Thread(target=run)
        thread.start()
        for _ in range(500):
            if self.psql("SELECT count(*) FROM pg_stat_activity"
                         " WHERE wait_event_type = 'Lock'") == '1':
                break
            time.sleep(0.02)

        def answer():
            thread.join()
            return answers[0]
        return answer

    def play(self, scenario, case):
        self.sql('TRUNCATE %s RESTART IDENTITY' % ', '.join(TRIGGERS))
        for title in ('one', 'two'):
            Doc(title=title).save(using=self.one)
        if self.managed:
            Sheet(title='one').save(using=self.one)
            Sheet(title='two').save(using=self.one)
            Quiet(title='one').save(using=self.one)
        with CaptureQueriesContext(connections[self.one]) as queries:
            answer = scenario(case, self)
        log = [re.sub(r"'\d{4}-[^']*'::timestamptz", '<time>', query['sql'])
               for query in queries]
        return answer, log, list(Doc.objects.using(self.one).order_by(
            'id').values_list('title', 'views', 'version'))


def twin(scenario):
    """Plays a scenario on both databases, which must not differ."""
    def test(self):
        expected = Side('plain').play(scenario, self)
        self.assertEqual(Side('managed').play(scenario, self), expected)
    return test


def managed_only(scenario):
    """Plays a scenario where triggers are what it is about."""
    def test(self):
        Side('managed').play(scenario, self)
    return test


class DjangoTestCase(unittest.TestCase):
    maxDiff = None

    def raises(self, sqlstate, action, *args, **kwargs):
        with self.assertRaises(DatabaseError) as caught:
            action(*args, **kwargs)
        cause = caught.exception.__cause__
        self.assertEqual(getattr(cause, 'pgcode', None) or cause.sqlstate,
                         sqlstate)

    def setting(self, db, name, value):
        """For the transaction that is open."""
        db.sql("SET LOCAL orm_ext.%s = '%s'" % (name, value))


def save_if(alias, doc, **values):
    """Optimistic locking by hand, as it is done everywhere."""
    return Doc.objects.using(alias).filter(
        pk=doc.pk, version=doc.version).update(
            version=F('version') + 1, **values)


class ExpressionTest(DjangoTestCase):
    """filter(version=...).update(version=F('version') + 1)"""

    @twin
    def test_fresh(self, db):
        doc = Doc.objects.using(db.one).get(pk=1)
        counts = []
        for title in 'abc':
            counts.append(save_if(db.one, doc, title=title))
            doc.refresh_from_db()
        self.assertEqual((counts, doc.version), ([1, 1, 1], 4))

    @twin
    def test_stale(self, db):
        one = Doc.objects.using(db.one).get(pk=1)
        two = Doc.objects.using(db.two).get(pk=1)
        return (save_if(db.one, one, title='first'),
                save_if(db.two, two, title='second'))

    @twin
    def test_stale_that_had_to_wait(self, db):
        doc = Doc.objects.using(db.one).get(pk=1)
        with transaction.atomic(db.one):
            save_if(db.one, doc, title='first')
            count = db.meanwhile(lambda: save_if(db.two, doc, title='second'))
        self.assertEqual(count(), 0)

    @twin
    def test_stale_delete(self, db):
        doc = Doc.objects.using(db.one).get(pk=1)
        save_if(db.two, doc, title='first')

        def gone():
            return Doc.objects.using(db.one).filter(
                pk=doc.pk, version=doc.version).delete()[0]
        answer = [gone()]
        doc.refresh_from_db()
        return answer + [gone()]

    @managed_only
    def test_psql(self, db):
        doc = Doc.objects.using(db.one).get(pk=1)
        db.psql("UPDATE shop_doc SET title = 'psql' WHERE id = 1")
        self.assertEqual(save_if(db.one, doc, title='mine'), 0)
        doc.refresh_from_db()
        self.assertEqual(save_if(db.one, doc, title='mine'), 1)

    @twin
    def test_psql_without_a_change(self, db):
        doc = Doc.objects.using(db.one).get(pk=1)
        db.psql('UPDATE shop_doc SET title = title, views = 3 WHERE id = 1')
        self.assertEqual(save_if(db.one, doc, title='mine'), 1)

    @managed_only
    def test_update_is_noticed(self, db):
        """update() and bulk_update() without a word of the version."""
        for write in (
                lambda docs: docs.filter(pk=1).update(title='a'),
                lambda docs: docs.bulk_update([Doc(pk=1, title='b')],
                                              ['title']),
                lambda docs: docs.update_or_create(
                    pk=1, defaults={'title': 'c'})):
            doc = Doc.objects.using(db.one).get(pk=1)
            write(Doc.objects.using(db.two))
            self.assertEqual(save_if(db.one, doc, title='mine'), 0)

    @unittest.skipIf(django.VERSION < (4, 1), 'bulk_create() cannot update')
    @managed_only
    def test_upsert_is_noticed(self, db):
        doc = Doc.objects.using(db.one).get(pk=1)
        Doc.objects.using(db.two).bulk_create(
            [Doc(title='one', views=5), Doc(title='three')],
            update_conflicts=True, unique_fields=['title'],
            update_fields=['views'])
        self.assertEqual(save_if(db.one, doc, title='not yet stale'), 1)
        doc.refresh_from_db()
        Doc.objects.using(db.two).bulk_create(
            [Doc(pk=1, title='upsert')], update_conflicts=True,
            unique_fields=['id'], update_fields=['title'])
        self.assertEqual(save_if(db.one, doc, title='stale'), 0)

    @managed_only
    def test_guard(self, db):
        doc = Doc.objects.using(db.one).get(pk=1)
        with transaction.atomic(db.one):
            self.setting(db, 'version_guard', 'error')
            self.assertEqual(save_if(db.one, doc, title='mine'), 1)
        for forgetful in (doc.save, doc.delete,
                          lambda: Doc.objects.using(db.one).filter(
                              pk=1).update(title='x')):
            with self.subTest(forgetful):
                def guarded():
                    with transaction.atomic(db.one):
                        self.setting(db, 'version_guard', 'error')
                        forgetful()
                self.raises('OE002', guarded)


class SaveTest(DjangoTestCase):
    """save() writes all columns, whichever were changed."""

    @managed_only
    def test_fresh(self, db):
        for title in 'ab':
            doc = Doc.objects.using(db.one).get(pk=1)
            doc.title = title
            doc.save()
        self.assertEqual(
            Doc.objects.using(db.one).get(pk=1).version, 3)

    @managed_only
    def test_nothing_changed(self, db):
        Quiet.objects.using(db.one).get(pk=1).save()
        self.assertEqual(Quiet.objects.using(db.one).get(pk=1).version, 1)

    @managed_only
    def test_stale(self, db):
        """The version that was read comes along: an old one is an error."""
        one = Doc.objects.using(db.one).get(pk=1)
        two = Doc.objects.using(db.two).get(pk=1)
        one.title = 'first'
        one.save()
        two.title = 'second'
        self.raises('OE001', two.save)
        two.refresh_from_db()
        two.title = 'second'
        two.save()

    @managed_only
    def test_update_fields(self, db):
        one = Doc.objects.using(db.one).get(pk=1)
        two = Doc.objects.using(db.two).get(pk=1)
        one.title = 'first'
        one.save(update_fields=['title', 'updated_at'])
        two.title = 'second'
        self.raises('OE001', two.save)
        self.assertEqual(save_if(db.two, two, title='second'), 0)

    @twin
    def test_counting_in_save_protects_nothing(self, db):
        """version = F('version') + 1 is right whatever was read."""
        one = Doc.objects.using(db.one).get(pk=1)
        two = Doc.objects.using(db.two).get(pk=1)
        one.title, one.version = 'first', F('version') + 1
        one.save()
        two.title, two.version = 'second', F('version') + 1
        two.save()
        return Doc.objects.using(db.one).get(pk=1).title

    @managed_only
    def test_expected_version(self, db):
        """What protects a save() like that."""
        one = Doc.objects.using(db.one).get(pk=1)
        db.psql("UPDATE shop_doc SET title = 'psql' WHERE id = 1")

        def save(version):
            with transaction.atomic(db.one):
                self.setting(db, 'expected_version', version)
                one.title, one.version = 'mine', F('version') + 1
                one.save()

        self.raises('OE001', save, 1)
        save(2)

        def delete(version):
            with transaction.atomic(db.one):
                self.setting(db, 'expected_version', version)
                Doc.objects.using(db.one).filter(pk=1).delete()

        self.raises('OE001', delete, 2)
        delete(3)
        self.assertFalse(Doc.objects.using(db.one).filter(pk=1).exists())

    @managed_only
    def test_times_of_the_client(self, db):
        """auto_now and auto_now_add"""
        doc = Doc.objects.using(db.one).get(pk=1)
        created, updated = doc.created_at, doc.updated_at
        doc.title = 'a'
        doc.save()
        sent = doc.updated_at
        doc.refresh_from_db()
        self.assertEqual((doc.created_at, doc.updated_at), (created, sent))
        self.assertGreater(doc.updated_at, updated)
        doc.created_at = sent
        doc.save()
        doc.refresh_from_db()
        self.assertEqual(doc.created_at, created)
        sent = doc.updated_at
        Doc.objects.using(db.two).filter(pk=1).update(title='b')
        doc.refresh_from_db()
        self.assertGreater(doc.updated_at, sent)

    @managed_only
    def test_updated_at_that_is_sent_back(self, db):
        """Without resent=move, a column in the SET list is as it says."""
        row = Quiet.objects.using(db.one).get(pk=1)
        before = row.updated_at
        row.title = 'a'
        row.save()
        row.refresh_from_db()
        self.assertEqual((row.updated_at, row.version), (before, 2))
        row.title = 'b'
        row.save(update_fields=['title'])
        row.refresh_from_db()
        self.assertGreater(row.updated_at, before)


class EchoTest(DjangoTestCase):
    """mode=echo: a plain save() is all that it takes."""

    def two(self, db):
        return (Sheet.objects.using(db.one).get(pk=1),
                Sheet.objects.using(db.two).get(pk=1))

    @managed_only
    def test_fresh(self, db):
        sheet = Sheet(title='new')
        sheet.save(using=db.one)
        versions, times = [sheet.version], [sheet.updated_at]
        created = sheet.created_at
        self.assertEqual(created, sheet.updated_at)
        for title in 'abc':
            sheet.title = title
            sheet.save()
            versions.append(sheet.version)
            times.append(sheet.updated_at)
        self.assertEqual(versions, [1, 2, 3, 4])
        self.assertEqual(times, sorted(set(times)))
        self.assertEqual(sheet.created_at, created)

    @managed_only
    def test_nothing_changed(self, db):
        sheet, _ = self.two(db)
        updated = sheet.updated_at
        sheet.save()
        self.assertEqual((sheet.version, sheet.updated_at), (1, updated))

    @managed_only
    def test_stale(self, db):
        one, two = self.two(db)
        one.title = 'first'
        one.save()
        two.title = 'second'
        self.raises('OE001', two.save)
        two.refresh_from_db()
        self.assertEqual(two.title, 'first')
        two.title = 'second'
        two.save()

    @managed_only
    def test_stale_that_had_to_wait(self, db):
        one, two = self.two(db)
        one.title, two.title = 'first', 'second'
        with transaction.atomic(db.one):
            one.save()
            answer = db.meanwhile(
                lambda: self.raises('OE001', two.save) or 'stale')
        self.assertEqual(answer(), 'stale')

    @managed_only
    def test_psql(self, db):
        one, _ = self.two(db)
        db.psql("UPDATE shop_sheet SET note = 'psql', version = version")
        one.title = 'mine'
        self.raises('OE001', one.save)

    @managed_only
    def test_the_version_is_required(self, db):
        one, _ = self.two(db)
        one.title = 'mine'
        self.raises('OE002', one.save, update_fields=['title'])
        one.save(update_fields=['title', 'version'])
        self.assertEqual(one.version, 2)
        self.raises('OE002', Sheet.objects.using(db.one).update, note='all')
        Sheet.objects.using(db.one).update(note='all', version=F('version'))
        one.refresh_from_db()
        self.assertEqual((one.note, one.version), ('all', 3))

    @managed_only
    def test_bulk_update(self, db):
        """Each row has its own version in one statement."""
        sheets = list(Sheet.objects.using(db.one).order_by('id'))
        sheets[0].title = 'a'
        sheets[0].save()
        for sheet in sheets:
            sheet.note = 'bulk'
        manager = Sheet.objects.using(db.one)
        manager.bulk_update(sheets, ['note', 'version'])
        sheets[0].refresh_from_db()
        self.raises('OE001', manager.bulk_update, [
            Sheet(pk=1, note='again', version=sheets[0].version),
            Sheet(pk=2, note='again', version=1)], ['note', 'version'])
        sheets[0].refresh_from_db()
        self.assertEqual((sheets[0].note, sheets[0].version), ('bulk', 3))

    @managed_only
    def test_guard(self, db):
        """The version is in the SET list, which is enough here."""
        one, _ = self.two(db)
        one.title = 'mine'
        with transaction.atomic(db.one):
            self.setting(db, 'version_guard', 'error')
            one.save()
        self.assertEqual(one.version, 2)


def main():
    print('# django %s' % django.get_version())
    driver = connections['plain'].Database
    print('# %s %s' % (driver.__name__, driver.__version__.split()[0]))
    for alias in ('plain', 'managed'):
        create(alias)
    suite = unittest.TestLoader().loadTestsFromModule(
        sys.modules[__name__])
    result = unittest.TextTestRunner(stream=sys.stdout).run(suite)
    connections.close_all()
    failed = len(result.failures) + len(result.errors)
    run = result.testsRun - len(result.skipped)
    print('%d passed, %d failed' % (run - failed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
