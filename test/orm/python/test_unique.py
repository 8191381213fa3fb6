"""Unique keys mean unique among live rows; upserts follow them."""

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError, ProgrammingError

from models import Badge, Tag, User
from twin import (TwinTestCase, constraint_name, managed_only, sqlstate,
                  twin)


def users(db):
    return db.session().execute(select(
        User.id, User.email, User.name, User.logins).order_by(User.id)).all()


class UniqueTest(TwinTestCase):

    @twin(users=1)
    def test_value_is_free_again(self, db):
        session = db.session()
        session.delete(session.query(User).filter_by(name='cyd').one())
        session.commit()
        for email in ('cyd@example.org', 'ghost@example.org'):
            session.add(User(email=email, name='newcomer'))
        session.commit()
        return users(db)

    @twin
    def test_live_value_is_taken(self, db):
        """Same error, same constraint name as the full key had."""
        session = db.session()
        session.add(User(email='ann@example.org', name='impostor'))
        with self.assertRaises(IntegrityError) as caught:
            session.flush()
        session.rollback()
        self.assertEqual(constraint_name(caught.exception),
                         'users_email_key')
        return sqlstate(caught.exception)

    @twin(users=3)
    def test_deleted_and_added_many_times(self, db):
        session = db.session()
        for _ in range(3):
            user = User(email='eve@example.org', name='eve')
            session.add(user)
            session.commit()
            session.delete(user)
            session.commit()
        return users(db)


class UpsertTest(TwinTestCase):

    def upsert(self, db, *rows):
        statement = insert(User).values([
            dict(email=email, name=name, logins=0) for email, name in rows])
        statement = statement.on_conflict_do_update(
            index_elements=[User.email],
            set_={'name': statement.excluded.name,
                  'logins': User.logins + 1})
        with db.engine.begin() as connection:
            return connection.execute(
                statement.returning(User.name, User.logins)).all()

    @twin
    def test_do_update(self, db):
        answer = self.upsert(db, ('ann@example.org', 'ann two'),
                             ('dan@example.org', 'dan'))
        self.assertEqual(sorted(answer), [('ann two', 4), ('dan', 0)])
        return users(db)

    @twin
    def test_do_update_never_meets_a_deleted_row(self, db):
        answer = self.upsert(db, ('ghost@example.org', 'newcomer'))
        self.assertEqual(answer, [('newcomer', 0)])
        return users(db)

    @twin(users=1)
    def test_do_update_after_delete(self, db):
        session = db.session()
        session.delete(session.query(User).filter_by(name='cyd').one())
        session.commit()
        self.upsert(db, ('cyd@example.org', 'cyd two'))
        self.upsert(db, ('cyd@example.org', 'cyd three'))
        return users(db)

    @twin
    def test_do_update_where(self, db):
        statement = insert(User).values(email='bob@example.org', name='no')
        statement = statement.on_conflict_do_update(
            index_elements=['email'], set_={'name': statement.excluded.name},
            where=User.logins > 100)
        with db.engine.begin() as connection:
            self.assertEqual(connection.execute(statement).rowcount, 0)

    @twin
    def test_do_nothing(self, db):
        for target in ([User.email], None):
            statement = insert(User).values([
                dict(email=email, name='newcomer') for email in
                ('ann@example.org', 'ghost@example.org')]
            ).on_conflict_do_nothing(index_elements=target)
            with db.engine.begin() as connection:
                self.assertEqual(connection.execute(statement).rowcount,
                                 1 if target else 0)
        return users(db)

    @managed_only
    def test_on_conflict_on_constraint(self, db):
        """Known limit: a key among live rows is an index, not a constraint.

        ON CONFLICT finds it by its columns, not by its name.
        """
        statement = insert(User).values(email='bob@example.org', name='no')
        with self.assertRaises(ProgrammingError) as caught:
            db.session().execute(statement.on_conflict_do_update(
                constraint='users_email_key',
                set_={'name': statement.excluded.name}))
        self.assertEqual(sqlstate(caught.exception), '42704')

    @twin(tags=1, post_tags=2)
    def test_get_or_create_idiom(self, db):
        """INSERT … ON CONFLICT DO NOTHING, then SELECT."""
        session = db.session()
        session.delete(session.query(Tag).filter_by(name='orm').one())
        session.commit()
        found = []
        for name in ('sql', 'orm', 'old', 'new', 'orm'):
            session.execute(insert(Tag).values(name=name)
                            .on_conflict_do_nothing(
                                index_elements=[Tag.name]))
            found.append(session.execute(
                select(Tag.id).where(Tag.name == name)).scalar_one())
        session.commit()
        return found

    @twin
    def test_upsert_by_primary_key(self, db):
        statement = insert(Badge).values(code='gold', label='new gold')
        statement = statement.on_conflict_do_update(
            index_elements=[Badge.code],
            set_={'label': statement.excluded.label})
        with db.engine.begin() as connection:
            connection.execute(statement)
            connection.execute(insert(Badge).values(
                code='tin', label='x').on_conflict_do_nothing())


class FullKeyTest(TwinTestCase):
    """Primary keys stay full keys: a deleted row keeps its own.

    Where the application chooses the key itself, a new row cannot take the
    key of a deleted one; the answer is the server's own 23505, and nothing
    is changed or revived.  Link tables and the like either get a key among
    live rows (as post_tags has) or stay unmanaged.
    """

    def assert_taken(self, db, action):
        session = db.session()
        session.delete(session.get(Badge, 'tin'))
        session.commit()
        with self.assertRaises(IntegrityError) as caught:
            action(session)
            session.commit()
        session.rollback()
        self.assertEqual(sqlstate(caught.exception), '23505')
        self.assertEqual(constraint_name(caught.exception), 'badges_pkey')
        self.assertIsNone(session.get(Badge, 'tin'))

    @managed_only(badges=1)
    def test_add(self, db):
        self.assert_taken(
            db, lambda session: session.add(Badge(code='tin', label='x')))

    @managed_only(badges=1)
    def test_merge(self, db):
        self.assert_taken(
            db, lambda session: session.merge(Badge(code='tin', label='x')))

    @managed_only(badges=1)
    def test_do_update(self, db):
        self.assert_taken(db, lambda session: session.execute(
            insert(Badge).values(code='tin', label='x')
            .on_conflict_do_update(index_elements=[Badge.code],
                                   set_={'label': 'x'})))

    @managed_only(badges=1)
    def test_bin_emptied(self, db):
        """Once the deleted row is really gone, its key is free."""
        session = db.session()
        session.delete(session.get(Badge, 'tin'))
        session.delete(session.get(Badge, 'gold'))
        session.commit()
        session.execute(text("DELETE FROM badges WHERE code = 'tin' "
                             "AND deleted_at IS NOT NULL"))
        session.add(Badge(code='tin', label='new tin'))
        session.commit()
        self.assertEqual(session.query(Badge.label).all(), [('new tin',)])
