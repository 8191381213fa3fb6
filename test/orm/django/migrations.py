"""Django's migrations, unchanged, in a database whose names are looked after.

Needs the databases django_native, without the library, and django_named, with
the extension; test/orm/run makes them.  What makemigrations would write for
models that change is played in both, step by step, and then back to nothing.
"""

import os
import re
import subprocess
import sys
import unittest

import django
from django.conf import settings

ALIASES = ('native', 'named')

settings.configure(
    DATABASES={
        alias: {'ENGINE': 'django.db.backends.postgresql',
                'NAME': 'django_' + alias}
        for alias in ALIASES
    } | {'default': {}},
    DEFAULT_AUTO_FIELD='django.db.models.AutoField',
    INSTALLED_APPS=['django.contrib.postgres'], USE_TZ=True, TIME_ZONE='UTC')
django.setup()

from django.db import DatabaseError, connections, migrations, models  # noqa
from django.db.migrations.autodetector import MigrationAutodetector  # noqa
from django.db.migrations.graph import MigrationGraph  # noqa
from django.db.migrations.questioner import MigrationQuestioner  # noqa
from django.db.migrations.writer import MigrationWriter  # noqa
from django.db.migrations.state import ModelState, ProjectState  # noqa
from django.db.models import Q  # noqa

SUPERUSER = os.environ.get('ORM_EXT_SUPERUSER', 'postgres')

# Kind, table, name and definition.
CATALOG = '''
    SELECT contype::text, conrelid::regclass::text, conname,
           pg_get_constraintdef(oid)
      FROM pg_constraint
     WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    UNION ALL
    SELECT 'i', tablename, indexname, indexdef FROM pg_indexes
     WHERE schemaname = 'public'
     ORDER BY 1, 2, 3'''


def key(to, **options):
    return models.ForeignKey(to, models.CASCADE, **options)


def check(condition, name):
    """The argument has a new name since Django 5.1."""
    argument = 'condition' if django.VERSION >= (5, 1) else 'check'
    return models.CheckConstraint(name=name, **{argument: condition})


def model(name, fields, **options):
    fields = dict(fields)
    fields.setdefault('id', models.AutoField(primary_key=True))
    return ModelState('board', name, list(fields.items()), options)


def first():
    """What the application begins with."""
    return [
        model('Forum', [
            ('slug', models.SlugField(unique=True)),
            ('title', models.CharField(max_length=80, db_index=True)),
            ('position', models.PositiveIntegerField(default=0)),
            ('parent', key('self', null=True)),
        ]),
        model('Tag', [
            ('name', models.CharField(max_length=40, unique=True)),
            ('language', models.CharField(max_length=2)),
        ], unique_together={('name', 'language')}),
        model('Topic', [
            ('forum', key('board.Forum')),
            ('title', models.CharField(max_length=80)),
            ('views', models.PositiveIntegerField()),
            ('closes', models.DateField(null=True)),
            ('tags', models.ManyToManyField('board.Tag')),
            ('related', models.ManyToManyField('self')),
        ], constraints=[
            check(Q(views__lt=1000000), 'views_small'),
            models.UniqueConstraint(fields=['forum', 'title'],
                                    name='one_title_a_forum'),
            models.UniqueConstraint(fields=['title'],
                                    condition=Q(closes__isnull=True),
                                    name='one_open_title'),
        ], indexes=[
            models.Index(fields=['forum', '-views'],
                         name='board_topic_forum_i_9e1a4c_idx'),
            models.Index(fields=['closes'], name='topic_closes'),
        ]),
        model('SubscriptionRenewalReminderOfTheLastMonth', [
            ('forum', key('board.Forum')),
            ('channel_of_delivery_that_was_chosen_by_the_subscriber',
             models.CharField(max_length=9, unique=True)),
            ('level', models.PositiveSmallIntegerField()),
        ]),
    ]


def second():
    """Fields altered: no longer unique, unique, indexed, keys changed."""
    forum, tag, topic, reminder = first()
    forum.fields['slug'] = models.SlugField()
    forum.fields['title'] = models.CharField(max_length=80, unique=True)
    forum.fields['position'] = models.IntegerField(default=0)
    forum.fields['parent'] = key('self', null=True, db_index=False)
    tag.options['unique_together'] = {('language', 'name')}
    tag.fields['name'] = models.CharField(max_length=60)
    topic.fields['views'] = models.BigIntegerField()
    topic.fields['forum'] = models.OneToOneField(
        'board.Forum', models.CASCADE)
    topic.options['constraints'] = [
        check(Q(views__gte=0), 'views_not_negative')]
    topic.options['indexes'] = [
        models.Index(fields=['title', 'closes'], name='topic_title_closes')]
    return [forum, tag, topic, reminder]


def third():
    """A table that is added, one removed, and a column with a key."""
    forum, tag, topic, _ = second()
    topic.fields['moved_to'] = key('board.Topic', null=True)
    topic.fields['code'] = models.CharField(max_length=9, unique=True)
    author = model('Author', [
        ('email', models.EmailField(unique=True)),
        ('friends', models.ManyToManyField('self', symmetrical=False)),
        ('age', models.PositiveIntegerField(null=True)),
    ])
    topic.fields['author'] = key('board.Author', null=True)
    return [forum, tag, topic, author]


def fourth():
    """Renamed: a model with links to it, and fields that have keys."""
    forum, tag, topic, author = third()
    writer = model('Writer', author.fields.items(), **author.options)
    topic.fields['author'] = key('board.Writer', null=True)
    topic.fields['target'] = topic.fields.pop('moved_to')
    topic.fields['reference'] = topic.fields.pop('code')
    return [forum, tag, topic, writer]


class Questioner(MigrationQuestioner):
    """Somebody who answers what makemigrations asks: yes, and ''."""

    def ask_initial(self, *_):
        return True

    def ask_rename(self, *_):
        return True

    def ask_rename_model(self, *_):
        return True

    def ask_not_null_addition(self, *_):
        return ''


def project(models_):
    state = ProjectState()
    for model_ in models_:
        state.add_model(model_)
    return state


def make_migrations():
    """The files that makemigrations would write one after another."""
    made, versions = [], [list, first, second, third, fourth]
    for before, after in zip(versions, versions[1:]):
        # Made anew, since looking at a state changes it.
        detector = MigrationAutodetector(
            project(before()), project(after()), Questioner())
        parts = detector.changes(MigrationGraph())['board']
        migration = migrations.Migration(after.__name__, 'board')
        migration.operations = [operation for part in parts
                                for operation in part.operations]
        made.append(MigrationWriter(migration).as_string())
    return made


def loaded(file):
    scope = {}
    exec(file, scope)
    return scope['Migration']('loaded', 'board')


class Side:
    def __init__(self, alias):
        self.alias = alias
        self.connection = connections[alias]

    def sql(self, statement):
        with self.connection.cursor() as cursor:
            cursor.execute(statement)

    def empty(self):
        self.sql('DROP SCHEMA public CASCADE; CREATE SCHEMA public')

    def convention(self, call):
        subprocess.run(
            ['psql', '-XAtqU', SUPERUSER, '-c',
             'SELECT orm_ext.use_naming(%s)' % call,
             self.connection.settings_dict['NAME']],
            check=True, stdout=subprocess.DEVNULL)

    def apply(self, file, state):
        with self.connection.schema_editor(atomic=True) as editor:
            return loaded(file).apply(state.clone(), editor)

    def unapply(self, file, state):
        with self.connection.schema_editor(atomic=True) as editor:
            return loaded(file).unapply(state.clone(), editor)

    def catalog(self, shortened=True):
        """With or without the names that had to be made to fit."""
        with self.connection.cursor() as cursor:
            cursor.execute(CATALOG)
            rows = cursor.fetchall()
        if shortened:
            return rows
        return sorted(
            tuple(part.replace(row[2], '(short)') for part in row)
            if re.search('^.{55}_[0-9a-f]{4}$|^.{63}$', row[2]) else row
            for row in rows)

    def introspected(self):
        """Constraints as Django itself finds them: inspectdb and so on."""
        introspection = self.connection.introspection
        with self.connection.cursor() as cursor:
            return {
                table: introspection.get_constraints(cursor, table)
                for table in introspection.table_names(cursor)}


class MigrationTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.native, self.named = self.sides = tuple(map(Side, ALIASES))
        for side in self.sides:
            side.empty()
        self.named.convention("'first_column'")

    def assert_same(self, shortened):
        self.assertEqual(self.named.catalog(shortened),
                         self.native.catalog(shortened))
        if shortened:
            self.assertEqual(self.named.introspected(),
                             self.native.introspected())

    def up_and_down(self, shortened=True):
        states, files = [ProjectState()], make_migrations()
        for file in files:
            for side in self.sides:
                state = side.apply(file, states[-1])
            states.append(state)
            self.assert_same(shortened)
            self.assertGreater(len(self.named.catalog()), 20)
        for file in reversed(files):
            states.pop()
            for side in self.sides:
                side.unapply(file, states[-1])
            self.assert_same(shortened)
        self.assertEqual(self.named.catalog(), [])

    def test_up_and_down(self):
        self.up_and_down(shortened=False)

    def test_shortened_as_postgresql_does(self):
        self.named.convention("'first_column', overflow => 'postgres'")
        self.up_and_down()

    def test_all_columns(self):
        self.named.convention("'all_columns', overflow => 'postgres'")
        self.up_and_down()

    def test_nothing_checked(self):
        self.named.sql("SET orm_ext.naming_check = 'off'")
        self.addCleanup(self.named.sql, 'RESET orm_ext.naming_check')
        self.up_and_down(shortened=False)

    def test_follow(self):
        """Names that follow their table: Django looks for the rest itself."""
        self.named.sql('SET orm_ext.naming_follow = on')
        self.addCleanup(self.named.sql, 'RESET orm_ext.naming_follow')
        state = ProjectState()
        for file in make_migrations():
            state = self.named.apply(file, state)
        names = {row[2] for row in self.named.catalog()}
        self.assertIn('board_writer_pkey', names)
        self.assertNotIn('board_author_pkey', names)
        self.assertIn('board_topic_reference_key', names)
        # Back again, by the names that are there now.
        states = [ProjectState()]
        for file in make_migrations():
            states.append(loaded(file).mutate_state(states[-1]))
        for file in reversed(make_migrations()):
            states.pop()
            self.named.unapply(file, states[-1])
        self.assertEqual(self.named.catalog(), [])

    def test_first_one_that_is_an_error(self):
        """In error, nothing is left of what does not conform."""
        self.named.sql("SET orm_ext.naming_check = 'error'")
        self.addCleanup(self.named.sql, 'RESET orm_ext.naming_check')
        with self.assertRaises(DatabaseError) as caught:
            self.named.apply(make_migrations()[0], ProjectState())
        cause = caught.exception.__cause__
        self.assertEqual(getattr(cause, 'pgcode', None) or cause.sqlstate,
                         '42602')
        self.assertEqual(self.named.catalog(), [])


def main():
    suite = unittest.TestLoader().loadTestsFromModule(
        sys.modules[__name__])
    result = unittest.TextTestRunner(stream=sys.stdout).run(suite)
    connections.close_all()
    failed = len(result.failures) + len(result.errors)
    print('%d passed, %d failed' % (result.testsRun - failed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
