"""Optimistic locking with version_id_col; two sessions, of which one is stale."""

import datetime
import unittest
import uuid

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import StaleDataError

from twin import IS_ASYNC, sqlstate
from versioned import (Document, Film, Leaflet, Letter, Memo, Note, Pass,
                       Ticket, Truck, VersionTestCase, managed_test, twin_test)


class Changes:
    """What every kind of version has in common.

    model, version and attribute say what is changed; other says how psql does.
    """

    knows_its_version = True    # after a flush

    def two(self, db):
        """Two sessions that have read the same row."""
        one, two = db.session(), db.session()
        return (one, one.get(self.model, 1)), (two, two.get(self.model, 1))

    def change(self, row, value):
        setattr(row, self.attribute, value)

    def value(self, db):
        return db.session().get(self.model, 1).__dict__[self.attribute]

    def check_fresh(self, db):
        """Each session reads before it writes, several times."""
        seen = []
        for value in self.values:
            session = db.session()
            row = session.get(self.model, 1)
            self.change(row, value)
            session.commit()
            seen.append(getattr(row, self.version))
        self.assertEqual(len(set(seen)), len(self.values))
        # The same object, over and over, without reading it again.
        session = db.session(expire_on_commit=False)
        row = session.get(self.model, 1)
        for value in self.values:
            if not self.knows_its_version:
                session.expire(row)
            self.change(row, value)
            session.commit()
        return self.value(db)

    def check_stale(self, db):
        (one, row), (two, stale) = self.two(db)
        self.change(row, self.values[0])
        self.change(stale, self.values[1])
        one.commit()
        with self.assertRaises(StaleDataError):
            two.commit()
        two.rollback()
        self.change(stale, self.values[2])
        two.commit()
        return self.value(db)

    def check_stale_that_had_to_wait(self, db):
        (one, row), (two, stale) = self.two(db)
        self.change(row, self.values[0])
        self.change(stale, self.values[1])
        one.flush()
        answer = db.meanwhile(lambda: self.is_stale(two))
        one.commit()
        self.assertTrue(answer())
        two.rollback()

    def is_stale(self, session):
        try:
            session.commit()
        except StaleDataError:
            return True
        return False

    def check_stale_delete(self, db):
        (one, row), (two, stale) = self.two(db)
        self.change(row, self.values[0])
        one.commit()
        two.delete(stale)
        with self.assertRaises(StaleDataError):
            two.commit()
        two.rollback()
        two.delete(stale)
        two.commit()

    def check_psql(self, db):
        session = db.session()
        row = session.get(self.model, 1)
        db.psql(self.other)
        self.change(row, self.values[0])
        with self.assertRaises(StaleDataError):
            session.commit()
        session.rollback()
        session.delete(session.get(self.model, 1))
        db.psql(self.other_again)
        with self.assertRaises(StaleDataError):
            session.commit()
        session.rollback()
        self.change(row, self.values[0])
        session.commit()

    def check_psql_without_a_change(self, db):
        session = db.session()
        row = session.get(self.model, 1)
        db.psql(self.no_change)
        self.change(row, self.values[0])
        session.commit()


class ClientChanges(Changes):
    """The client makes the versions: a plain table behaves alike."""

    @twin_test
    def test_fresh(self, db):
        return self.check_fresh(db)

    @twin_test
    def test_stale(self, db):
        return self.check_stale(db)

    @unittest.skipIf(IS_ASYNC, 'asyncpg has no threads')
    @twin_test
    def test_stale_that_had_to_wait(self, db):
        self.check_stale_that_had_to_wait(db)

    @twin_test
    def test_stale_delete(self, db):
        self.check_stale_delete(db)

    @managed_test
    def test_psql(self, db):
        self.check_psql(db)

    @twin_test
    def test_psql_without_a_change(self, db):
        self.check_psql_without_a_change(db)


class ServerChanges(Changes):
    """The server makes the versions: a plain table has none."""

    @managed_test
    def test_fresh(self, db):
        self.check_fresh(db)

    @managed_test
    def test_stale(self, db):
        self.check_stale(db)

    @unittest.skipIf(IS_ASYNC, 'asyncpg has no threads')
    @managed_test
    def test_stale_that_had_to_wait(self, db):
        self.check_stale_that_had_to_wait(db)

    @managed_test
    def test_stale_delete(self, db):
        self.check_stale_delete(db)

    @managed_test
    def test_psql(self, db):
        self.check_psql(db)

    @managed_test
    def test_psql_without_a_change(self, db):
        self.check_psql_without_a_change(db)


class CounterTest(ClientChanges, VersionTestCase):
    """version_id_col as it comes."""

    model, version, attribute = Document, 'version_id', 'title'
    values = ['a', 'b', 'c']
    other = "DELETE FROM notes; UPDATE documents SET title = 'psql'"\
            " WHERE id = 1"
    other_again = "UPDATE documents SET title = 'again' WHERE id = 1"
    no_change = 'UPDATE documents SET title = title, views = views + 1'

    @twin_test
    def test_numbers(self, db):
        session = db.session()
        row = session.get(Document, 1)
        numbers = [row.version_id]
        for title in 'abc':
            row.title = title
            session.commit()
            numbers.append(row.version_id)
        self.assertEqual(numbers, [1, 2, 3, 4])

    @twin_test
    def test_several_flushes_of_a_transaction(self, db):
        session = db.session()
        row = session.get(Document, 1)
        for title in 'abc':
            row.title = title
            session.flush()
        session.commit()
        return row.version_id

    @twin_test
    def test_nothing_changed(self, db):
        session = db.session()
        row = session.get(Document, 1)
        row.title = row.title
        session.commit()
        return row.version_id

    @twin_test
    def test_one_of_many_is_stale(self, db):
        one, two = db.session(), db.session()
        rows = two.scalars(select(Document).order_by(Document.id)).all()
        one.get(Document, 2).title = 'first'
        one.commit()
        for row in rows:
            row.title += '!'
        with self.assertRaises(StaleDataError):
            two.commit()
        two.rollback()

    @twin_test
    def test_many(self, db):
        session = db.session()
        for row in session.scalars(select(Document)):
            row.title += '!'
        for note in session.scalars(select(Note)):
            note.body += '!'
        session.commit()

    @twin_test
    def test_merge_of_what_was_read_before(self, db):
        one, two = db.session(), db.session()
        form = one.get(Document, 1)
        one.expunge(form)
        two.get(Document, 1).title = 'first'
        two.commit()
        form.title = 'second'
        with self.assertRaises(StaleDataError):
            one.merge(form)
        one.rollback()

    @twin_test
    def test_bulk_update_mappings(self, db):
        session = db.session()

        def save(version, title):
            session.bulk_update_mappings(Document, [
                {'id': 1, 'version_id': version, 'title': title}])

        save(1, 'a')
        save(2, 'b')
        session.commit()
        with self.assertRaises(StaleDataError):
            save(2, 'c')
        session.rollback()

    @twin_test
    def test_children_do_not_touch_their_parent(self, db):
        session = db.session()
        document = session.get(Document, 1)
        document.notes[0].body = 'changed'
        del document.notes[1]
        document.notes.append(Note(body='third'))
        session.commit()
        return document.version_id, [
            (note.body, note.version_id) for note in document.notes]

    @twin_test
    def test_savepoint(self, db):
        session = db.session()
        row = session.get(Document, 1)
        nested = session.begin_nested()
        row.title = 'undone'
        session.flush()
        nested.rollback()
        row.title = 'done'
        session.commit()
        return row.version_id

    @twin_test
    def test_overflow(self, db):
        """The counter of the client has no room left in a smallint."""
        session = db.session()
        session.execute(Note.__table__.insert().values(
            id=9, document_id=1, body='last', version_id=32767))
        last = session.get(Note, 9)
        last.body = 'one too many'
        with self.assertRaises(DBAPIError) as caught:
            session.commit()
        session.rollback()
        return sqlstate(caught.exception)

    @managed_test
    def test_bulk_update(self, db):
        """Query.update() and update() do not know of versions."""
        session = db.session()
        row = session.get(Document, 1)
        other = db.session()
        other.execute(update(Document).values(title=Document.title + '!')
                      .execution_options(synchronize_session=False))
        other.commit()
        row.title = 'mine'
        with self.assertRaises(StaleDataError):
            session.commit()

    @managed_test
    def test_upsert(self, db):
        session, other = db.session(), db.session()
        row = session.get(Document, 1)
        statement = insert(Document).values(title='one', version_id=1, views=7)
        other.execute(statement.on_conflict_do_update(
            index_elements=[Document.title],
            set_={'title': statement.excluded.title + '!'}))
        other.commit()
        row.title = 'mine'
        with self.assertRaises(StaleDataError):
            session.commit()

    @managed_test
    def test_upsert_that_sends_the_first_version(self, db):
        """A version that would go back is an error, not a reset."""
        session = db.session()
        row = session.get(Document, 1)
        for row.title in 'ab':
            session.commit()
        statement = insert(Document).values(id=1, title='up', version_id=1)
        with self.assertRaises(DBAPIError) as caught:
            session.execute(statement.on_conflict_do_update(
                index_elements=[Document.id], set_={
                    'title': statement.excluded.title,
                    'version_id': statement.excluded.version_id}))
        session.rollback()
        self.assertEqual(sqlstate(caught.exception), 'OE001')

    @managed_test
    def test_who_counts_wrong(self, db):
        session = db.session()
        with self.assertRaises(DBAPIError) as caught:
            session.execute(update(Document).values(
                title='x', version_id=7).where(Document.id == 1)
                .execution_options(synchronize_session=False))
        session.rollback()
        self.assertEqual(sqlstate(caught.exception), 'OE001')
        self.assertIn('documents', str(caught.exception))

    @managed_test
    def test_guard(self, db):
        """Nothing that SQLAlchemy sends for versioned models needs a warning."""
        session = db.session()
        session.connection().exec_driver_sql(
            "SET LOCAL orm_ext.version_guard = 'error'")
        row = session.get(Document, 2)
        row.title = 'guarded'
        session.flush()
        session.delete(row)
        session.flush()
        with self.assertRaises(DBAPIError) as caught:
            session.execute(update(Document).values(title='x').where(
                Document.id == 3).execution_options(
                    synchronize_session=False))
        session.rollback()
        self.assertEqual(sqlstate(caught.exception), 'OE002')

    @managed_test
    def test_expected_version(self, db):
        """For statements that are written by hand, without the version."""
        session = db.session()
        version = session.get(Document, 2).version_id
        db.psql("UPDATE documents SET title = 'psql' WHERE id = 2")
        for statement in (
                update(Document).values(title='mine').where(Document.id == 2),
                delete(Document).where(Document.id == 2)):
            self.expect(session, version)
            with self.assertRaises(DBAPIError) as caught:
                session.execute(statement, execution_options={
                    'synchronize_session': False})
            session.rollback()
            self.assertEqual(sqlstate(caught.exception), 'OE001')
            self.expect(session, version + 1)
            self.assertEqual(session.execute(statement, execution_options={
                'synchronize_session': False}).rowcount, 1)
            session.commit()
            version += 1

    def expect(self, session, version):
        session.execute(text("SET LOCAL orm_ext.expected_version = '%d'"
                             % version))

    @managed_test
    def test_times(self, db):
        session = db.session()
        row = session.get(Document, 1)
        created, updated = row.created_at, row.updated_at
        self.assertEqual(created, updated)
        row.views += 1
        row.title = 'sent with onupdate'
        session.commit()
        self.assertEqual(row.created_at, created)
        self.assertGreater(row.updated_at, updated)
        updated = row.updated_at
        session.rollback()
        db.psql("UPDATE documents SET title = 'psql', created_at = now()"
                ' WHERE id = 1')
        self.assertEqual(row.created_at, created)
        self.assertGreater(row.updated_at, updated)
        updated = row.updated_at
        session.rollback()
        db.psql('UPDATE documents SET views = 9, title = title WHERE id = 1')
        self.assertEqual(row.updated_at, updated)


class SoftDeleteTest(ClientChanges, VersionTestCase):
    """A DELETE with a version, that is an UPDATE in truth."""

    model, version, attribute = Letter, 'version_id', 'title'
    values = ['a', 'b', 'c']
    other = "UPDATE letters SET title = 'psql'"
    other_again = "UPDATE letters SET title = 'again'"
    no_change = 'UPDATE letters SET title = title'

    @twin_test
    def test_deleted_in_between(self, db):
        session = db.session()
        row = session.get(Letter, 1)
        db.psql('DELETE FROM letters')
        row.title = 'mine'
        with self.assertRaises(StaleDataError):
            session.commit()

    @managed_test
    def test_deleted_and_restored_in_between(self, db):
        session = db.session()
        row = session.get(Letter, 1)
        db.psql('DELETE FROM letters')
        db.psql('UPDATE letters SET deleted_at = NULL')
        row.title = 'mine'
        with self.assertRaises(StaleDataError):
            session.commit()


class InheritanceTest(ClientChanges, VersionTestCase):
    """The column that changes is in another table than the version."""

    model, version, attribute = Film, 'version_id', 'minutes'
    values = [91, 92, 93]
    other = "UPDATE assets SET name = 'psql'"
    other_again = "UPDATE assets SET name = 'again'"
    no_change = 'UPDATE assets SET name = name'


class TokenTest(ClientChanges, VersionTestCase):
    """version_id_generator: uuid."""

    model, version, attribute = Leaflet, 'token', 'title'
    values = ['a', 'b', 'c']
    other = "UPDATE leaflets SET title = 'psql'"
    other_again = "UPDATE leaflets SET title = 'again'"
    no_change = 'UPDATE leaflets SET title = title'

    @twin_test
    def test_token_is_the_client_s(self, db):
        session = db.session()
        row = session.get(Leaflet, 1)
        row.title = 'a'
        session.flush()
        token = row.token
        session.commit()
        self.assertIsInstance(token, uuid.UUID)
        self.assertEqual(row.token, token)


class ClockTest(ClientChanges, VersionTestCase):
    """version_id_generator: the time."""

    model, version, attribute = Memo, 'stamp', 'title'
    values = ['a', 'b', 'c']
    other = "UPDATE memos SET title = 'psql'"
    other_again = "UPDATE memos SET title = 'again'"
    no_change = 'UPDATE memos SET title = title'

    @twin_test
    def test_time_is_the_client_s(self, db):
        session = db.session()
        row = session.get(Memo, 1)
        row.title = 'a'
        session.flush()
        stamp = row.stamp
        session.commit()
        self.assertIsInstance(stamp, datetime.datetime)
        self.assertEqual(row.stamp, stamp)


class ServerCounterTest(ServerChanges, VersionTestCase):
    """version_id_generator=False, and FetchedValue."""

    model, version, attribute = Ticket, 'version', 'title'
    values = ['a', 'b', 'c']
    other = "UPDATE tickets SET title = 'psql' WHERE id = 1"
    other_again = "UPDATE tickets SET title = 'again' WHERE id = 1"
    no_change = 'UPDATE tickets SET title = title'

    @managed_test
    def test_numbers(self, db):
        """They come back with RETURNING, times too."""
        session = db.session()
        row = Ticket(title='new')
        session.add(row)
        session.flush()
        numbers, times = [row.version], [row.updated_at]
        self.assertEqual(row.created_at, row.updated_at)
        created = row.created_at
        for title in 'abc':
            row.title = title
            session.flush()
            numbers.append(row.__dict__['version'])
            times.append(row.updated_at)
        session.commit()
        self.assertEqual(numbers, [1, 2, 3, 4])
        self.assertEqual(times, sorted(set(times)))
        self.assertEqual((row.created_at, row.updated_at),
                         (created, times[-1]))

    @managed_test
    def test_many(self, db):
        session, other = db.session(), db.session()
        stale = other.scalars(select(Ticket).order_by(Ticket.id)).all()
        for row in session.scalars(select(Ticket)):
            row.title += '!'
        session.flush()
        self.assertEqual({row.version for row in session}, {2})
        session.commit()
        for row in stale:
            row.title += '?'
        with self.assertRaises(StaleDataError):
            other.commit()

    @managed_test
    def test_a_version_of_the_client_s_is_kept(self, db):
        """"Programmatic or conditional version counters" of the manual."""
        session = db.session()
        row = session.get(Ticket, 1)
        row.title = 'a'
        row.version = row.version + 1
        session.commit()
        self.assertEqual(row.version, 2)


class ServerTokenTest(ServerChanges, VersionTestCase):
    """version_id_generator=False, without eager_defaults."""

    model, version, attribute = Pass, 'token', 'holder'
    values = ['a', 'b', 'c']
    other = "UPDATE passes SET holder = 'psql'"
    other_again = "UPDATE passes SET holder = 'again'"
    no_change = 'UPDATE passes SET holder = holder'


class ServerInheritanceTest(ServerChanges, VersionTestCase):
    """Nothing to set beside the version: SQLAlchemy sets it to itself.

    It means the server to count then (resent=move), but does not read that
    count, and is left with what it sent.
    """

    knows_its_version = False
    model, version, attribute = Truck, 'version', 'load'
    values = [1, 2, 3]
    other = "UPDATE vehicles SET name = 'psql'"
    other_again = "UPDATE vehicles SET name = 'again'"
    no_change = 'UPDATE vehicles SET name = name'
