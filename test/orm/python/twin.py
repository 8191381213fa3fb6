"""Runs each scenario on two databases and holds the one to the other.

In the plain database a DELETE deletes.  In the managed one orm_ext turns it
into a mark.  A scenario is played on both, through the same unmodified
SQLAlchemy, and must give the same answer, the same statements with the same
row counts, and leave the same rows for the application to see.  What the
managed database still holds underneath is then looked up and counted.
"""

import asyncio
import collections
import functools
import inspect
import os
import unittest

from sqlalchemy import create_engine, delete, event, select, text
from sqlalchemy.orm import Session

import models
from models import (IS_DELETED, MANAGED_TABLES, Article, AuditEntry, Badge,
                    Base, Category, Order, OrderLine, Photo, Post, Tag, User,
                    post_tags)

DRIVER = os.environ.get('ORM_EXT_DRIVER', 'psycopg2')
IS_ASYNC = DRIVER == 'asyncpg'

Outcome = collections.namedtuple('Outcome', 'answer log contents tombstones')


class Database:
    """One of the twins; connection parameters come from PGHOST and so on."""

    def __init__(self, name, managed):
        self.name = name
        self.managed = managed
        self.log = []
        self._sessions = []
        # postgresql+asyncpg://host:port/… would have to be assembled from
        # the PG* variables; leaving them out lets either driver read them.
        url = 'postgresql+%s:///%s' % (DRIVER, name)
        if IS_ASYNC:
            from sqlalchemy.ext.asyncio import create_async_engine
            # One loop for the whole run: connections, and with them the
            # driver's cache of prepared statements, live as long as in an
            # application.
            self._loop = asyncio.new_event_loop()
            self.async_engine = create_async_engine(url)
            self.engine = self.async_engine.sync_engine
        else:
            self.engine = create_engine(url, future=True)
        event.listen(self.engine, 'after_cursor_execute', self._remember)

    def _remember(self, _connection, cursor, statement, _parameters,
                  _context, _many):
        self.log.append((statement, cursor.rowcount))

    def run(self, work):
        """Calls work(); under asyncpg as AsyncSession.run_sync() does."""
        if not IS_ASYNC:
            return work()
        from sqlalchemy.ext.asyncio import AsyncSession

        async def inside():
            async with AsyncSession(self.async_engine) as session:
                return await session.run_sync(lambda _: work())

        return self._loop.run_until_complete(inside())

    def session(self, **options):
        """A session of the scenario's; closed for it at the end."""
        session = Session(self.engine, future=True, **options)
        self._sessions.append(session)
        return session

    def _with_sessions(self, scenario, case):
        try:
            return scenario(case, self)
        finally:
            while self._sessions:
                self._sessions.pop().close()

    def dispose(self):
        if IS_ASYNC:
            self._loop.run_until_complete(self.async_engine.dispose())
            self._loop.close()
        else:
            self.engine.dispose()

    def create(self):
        """Makes the tables; in the managed database, declares them."""
        Base.metadata.drop_all(self.engine)
        Base.metadata.create_all(self.engine)
        if not self.managed:
            return
        with self.engine.begin() as connection:
            for table, (marker, marker_type) in MANAGED_TABLES.items():
                connection.execute(
                    text('SELECT orm_ext.enable_soft_delete('
                         'CAST(:t AS text)::regclass, CAST(:m AS text)::name,'
                         ' CAST(:y AS text)::regtype)'),
                    {'t': table, 'm': marker, 'y': marker_type})

    def reset(self):
        """Back to the same live rows, with deleted ones among them."""
        with self.engine.begin() as connection:
            if self.managed:
                connection.execute(
                    text("SET LOCAL orm_ext.delete_mode = 'hard'"))
                connection.execute(
                    text("SET LOCAL orm_ext.deleted_rows = 'show'"))
            # A few rows each: much faster than TRUNCATE.
            for table in reversed(Base.metadata.sorted_tables):
                connection.execute(table.delete())
                if 'id' in table.c and not table.c.id.foreign_keys:
                    connection.execute(text(
                        "SELECT setval('%s_id_seq', 1, false)" % table.name))
        with Session(self.engine, future=True) as session:
            seed(session)
            session.commit()

    def contents(self):
        """Everything that the application can see, table by table."""
        with self.engine.connect() as connection:
            return {
                table.name: [tuple(row) for row in connection.execute(
                    select(table).order_by(*table.c))]
                for table in Base.metadata.sorted_tables}

    def tombstones(self):
        """How many deleted rows each table really holds."""
        if not self.managed:
            return {}
        with self.engine.begin() as connection:
            connection.execute(text("SET LOCAL orm_ext.deleted_rows = 'show'"))
            return {
                table: connection.execute(text(
                    'SELECT count(*) FROM %s WHERE %s' % (
                        table, IS_DELETED[marker_type].format(marker))
                )).scalar_one()
                for table, (marker, marker_type) in MANAGED_TABLES.items()}

    def play(self, scenario, case):
        """Plays one scenario on fresh rows."""
        def prepare():
            self.reset()
            before = self.tombstones()
            del self.log[:]
            return before

        def look(before):
            return self.contents(), {
                table: count - before[table]
                for table, count in self.tombstones().items()
                if count != before[table]}

        before = self.run(prepare)
        try:
            if inspect.iscoroutinefunction(scenario):
                answer = self._loop.run_until_complete(scenario(case, self))
            else:
                answer = self.run(lambda: self._with_sessions(scenario, case))
            log = list(self.log)
            return Outcome(answer, log, *self.run(lambda: look(before)))
        except Exception as error:
            raise AssertionError(
                'in the %s database: %s' % (
                    'managed' if self.managed else 'plain', error)) from error


def seed(session):
    """The rows that every scenario starts from.

    What gets deleted at the end is old history: really gone in the plain
    database, still stored in the managed one, where no scenario may notice.
    """
    def add(*rows):
        session.add_all(rows)
        session.flush()

    # ann had an account before, left, and came back under the same address.
    old_ann = User(email='ann@example.org', name='old ann')
    add(old_ann)
    session.delete(old_ann)
    session.flush()
    ann = User(email='ann@example.org', name='ann', logins=3)
    bob = User(email='bob@example.org', name='bob', logins=1)
    cyd = User(email='cyd@example.org', name='cyd')
    ghost = User(email='ghost@example.org', name='ghost', logins=99)
    add(ann, bob, cyd, ghost)

    sql, orm, misc, old_tag = (Tag(name='sql'), Tag(name='orm'),
                               Tag(name='misc'), Tag(name='old'))
    add(sql, orm, misc, old_tag)

    intro = Post(author=ann, title='intro', body='first', tags=[sql, orm])
    joins = Post(author=ann, title='joins', tags=[sql, misc], reviewer=bob)
    draft = Post(author=ann, title='draft', body='gone', tags=[sql])
    reply = Post(author=bob, title='reply', body='second', tags=[orm],
                 reviewer=ann)
    lost = Post(author=ghost, title='lost', tags=[orm, old_tag])
    add(intro, joins, draft, reply, lost)

    add(Order(user=ann, number='A-1', lines=[
            OrderLine(position=1, sku='cup', quantity=2, price=5),
            OrderLine(position=2, sku='pot', quantity=1, price=20),
            OrderLine(position=3, sku='lid', quantity=9, price=1)]),
        Order(user=ann, number='A-2', lines=[
            OrderLine(position=1, sku='cup', quantity=1, price=5)]),
        Order(user=bob, number='B-1', lines=[
            OrderLine(position=1, sku='pan', quantity=1, price=30)]))

    root = Category(name='root', children=[
        Category(name='books', children=[Category(name='sql books')]),
        Category(name='music'), Category(name='tapes')])
    add(root)
    add(Photo(title='sunset', width=800), Photo(title='blurred', width=1),
        Badge(code='gold', label='Gold'), Badge(code='tin', label='Tin'),
        Article(slug='hello', title='Hello', views=10),
        Article(slug='world', title='World', views=20),
        Article(slug='stale', title='Stale', views=30),
        AuditEntry(message='seeded'), AuditEntry(message='checked'))

    for doomed in (
            delete(post_tags).where(post_tags.c.post_id.in_(
                [draft.id, lost.id])),
            delete(post_tags).where(post_tags.c.post_id == intro.id,
                                    post_tags.c.tag_id == orm.id),
            delete(Post).where(Post.title.in_(['draft', 'lost'])),
            delete(Tag).where(Tag.name == 'old'),
            delete(OrderLine).where(OrderLine.sku == 'lid'),
            delete(Category).where(Category.name == 'tapes'),
            delete(Photo).where(Photo.width == 1),
            delete(models.Media).where(models.Media.title == 'blurred'),
            delete(Article).where(Article.slug == 'stale'),
            delete(User).where(User.name == 'ghost')):
        session.execute(
            doomed, execution_options={'synchronize_session': False})
    # The same link and the same slug again: unique among live rows.
    session.execute(post_tags.insert().values(post_id=intro.id,
                                              tag_id=orm.id))
    session.execute(Article.__table__.insert().values(
        slug='stale', title='Stale again', views=5))


@functools.lru_cache(maxsize=None)
def twins():
    """The two databases, with their tables; shared by all tests."""
    plain, managed = (
        Database('sqlalchemy_%s_%s' % (DRIVER, kind), kind == 'managed')
        for kind in ('plain', 'managed'))
    for database in (plain, managed):
        database.run(database.create)
    return plain, managed


class TwinTestCase(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.plain, cls.managed = twins()


def twin(_scenario=None, **deleted):
    """Makes a test of a scenario: played on both databases and compared.

    The keyword arguments say how many rows of which table the scenario
    deletes softly, e.g. @twin(posts=1); nothing else may be marked.
    """
    def decorate(scenario):
        @functools.wraps(scenario)
        def test(self):
            plain = self.plain.play(scenario, self)
            managed = self.managed.play(scenario, self)
            self.assertEqual(managed.answer, plain.answer)
            # Sorted, since the unit of work keeps some of its objects in
            # sets: statements that do not depend on each other come in any
            # order.
            self.assertEqual(sorted(managed.log), sorted(plain.log))
            self.assertEqual(managed.contents, plain.contents)
            self.assertEqual(managed.tombstones, deleted)
        return test

    return decorate if _scenario is None else decorate(_scenario)


def managed_only(_scenario=None, **deleted):
    """As twin(), for what only a managed database can do."""
    def decorate(scenario):
        @functools.wraps(scenario)
        def test(self):
            outcome = self.managed.play(scenario, self)
            self.assertEqual(outcome.tombstones, deleted)
        return test

    return decorate if _scenario is None else decorate(_scenario)


def sqlstate(error):
    """SQLSTATE of a DBAPIError, from either driver."""
    return error.orig.pgcode


def constraint_name(error):
    if IS_ASYNC:
        return error.orig.__cause__.constraint_name
    return error.orig.diag.constraint_name
