"""An application with a SoftDeleteMixin of its own, on a managed table.

Its UPDATE marks, its conditions on deleted_at choose what it sees: mentioning
the marker in WHERE puts the application in charge.
"""

import warnings

from sqlalchemy import delete, event, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError, InvalidRequestError, SAWarning
from sqlalchemy.orm import aliased, with_loader_criteria

from models import Article, SoftDeleteMixin
from twin import TwinTestCase, managed_only, sqlstate, twin


def article(session, slug='hello'):
    return session.query(Article).filter_by(slug=slug).one()


def bin_of(session):
    return session.execute(select(Article.slug).where(
        Article.deleted_at.isnot(None)).order_by(Article.id)).scalars().all()


class MixinTest(TwinTestCase):

    @managed_only(articles=1)
    def test_soft_delete(self, db):
        session = db.session()
        row = article(session)
        key = row.id
        row.soft_delete()
        session.commit()
        session.expunge_all()

        self.assertIsNone(session.get(Article, key))
        self.assertEqual(session.query(Article).count(), 2)
        self.assertEqual(bin_of(session), ['hello', 'stale'])
        gone = session.execute(select(Article).where(
            Article.id == key, Article.deleted_at.isnot(None))).scalar_one()
        self.assertTrue(gone.is_deleted)

    @managed_only(articles=1)
    def test_marked_instance_cannot_be_refreshed(self, db):
        """It left what the application sees, as a deleted row does."""
        session = db.session()
        row = article(session)
        row.soft_delete()
        session.flush()
        with self.assertRaises(InvalidRequestError):
            session.refresh(row)
        session.commit()

    @managed_only(articles=1)
    def test_delete_then_own_view_of_the_bin(self, db):
        """session.delete() and soft_delete() leave the same kind of row."""
        session = db.session()
        session.delete(article(session, 'world'))
        session.commit()
        self.assertIn('world', bin_of(session))

    @managed_only
    def test_restore(self, db):
        session = db.session()
        session.delete(article(session))
        session.commit()

        row = session.execute(select(Article).where(
            Article.slug == 'hello',
            Article.deleted_at.isnot(None))).scalar_one()
        row.restore()
        session.commit()
        self.assertEqual(article(session).title, 'Hello')
        self.assertFalse(article(session).is_deleted)

    @managed_only
    def test_restore_by_statement(self, db):
        """The shape UPDATE … SET deleted_at = NULL WHERE id = …"""
        session = db.session()
        row = article(session)
        key = row.id
        session.delete(row)
        session.commit()
        result = session.execute(
            update(Article).where(Article.id == key).values(deleted_at=None)
            .execution_options(synchronize_session=False))
        session.commit()
        self.assertEqual(result.rowcount, 1)
        self.assertEqual(session.get(Article, key).slug, 'hello')

    @managed_only
    def test_restore_conflicts_with_a_live_row(self, db):
        session = db.session()
        row = session.execute(select(Article).where(
            Article.slug == 'stale',
            Article.deleted_at.isnot(None))).scalar_one()
        row.restore()
        with self.assertRaises(IntegrityError) as caught:
            session.flush()
        session.rollback()
        self.assertEqual(sqlstate(caught.exception), '23505')

    @twin
    def test_own_filter_for_live_rows(self, db):
        session = db.session()
        return session.query(Article.slug).filter(
            Article.deleted_at.is_(None)).order_by(Article.id).all()

    @managed_only
    def test_all_rows_on_request(self, db):
        session = db.session()
        everything = session.query(Article.slug, Article.title).filter(
            Article.deleted_at.is_(None) | Article.deleted_at.isnot(None))
        self.assertEqual(everything.count(), 4)
        with_deleted = session.query(Article).filter(
            func.orm_ext.with_deleted(Article.deleted_at))
        self.assertEqual(with_deleted.count(), 4)
        session.connection().exec_driver_sql(
            "SET LOCAL orm_ext.deleted_rows = 'only'")
        self.assertEqual(session.query(Article.title).all(), [('Stale',)])
        session.rollback()
        self.assertEqual(session.query(Article).count(), 3)

    @managed_only
    def test_mention_counts_for_its_own_reference(self, db):
        """A live row beside its deleted namesake, joined and in EXISTS."""
        session = db.session()
        gone = aliased(Article)
        pairs = session.query(Article.title, gone.title).join(
            gone, (gone.slug == Article.slug) & gone.deleted_at.isnot(None))
        self.assertEqual(pairs.all(), [('Stale again', 'Stale')])
        reborn = session.query(Article.title).filter(
            select(gone.id).where(gone.slug == Article.slug,
                                  gone.deleted_at.isnot(None)).exists())
        self.assertEqual(reborn.all(), [('Stale again',)])

    @managed_only(articles=1)
    def test_filter_recipe(self, db):
        """SQLAlchemy's own recipe: criteria added to every SELECT."""
        session = db.session()

        @event.listens_for(session, 'do_orm_execute')
        def only_live(state):
            if state.is_select and not state.execution_options.get(
                    'include_deleted'):
                state.statement = state.statement.options(
                    with_loader_criteria(
                        SoftDeleteMixin, lambda cls: cls.deleted_at.is_(None),
                        include_aliases=True))

        article(session).soft_delete()
        session.flush()
        self.assertEqual(session.query(Article).count(), 2)
        # Without the criteria the statement says nothing of the marker, and
        # the table shows what it shows everybody.
        every = select(Article.slug).order_by(Article.slug)
        options = {'include_deleted': True}
        self.assertEqual(
            session.execute(every, execution_options=options)
            .scalars().all(), ['stale', 'world'])
        session.connection().exec_driver_sql(
            "SET LOCAL orm_ext.deleted_rows = 'show'")
        self.assertEqual(
            session.execute(every, execution_options=options)
            .scalars().all(), ['hello', 'stale', 'stale', 'world'])
        self.assertEqual(session.query(Article).count(), 2)
        session.commit()

    @managed_only
    def test_delete_from_the_bin(self, db):
        """Final only by a condition that proves the row is in there."""
        session = db.session()
        row = article(session)
        row.soft_delete()
        session.commit()

        gone = session.execute(select(Article).where(
            Article.slug == 'hello',
            Article.deleted_at.isnot(None))).scalar_one()
        # DELETE … WHERE id = …: such a row is not there, as after any DELETE.
        session.delete(gone)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always', SAWarning)
            session.commit()
        self.assertEqual(len(caught), 1)
        self.assertIn('hello', bin_of(session))

        result = session.execute(
            delete(Article).where(Article.slug == 'hello',
                                  Article.deleted_at.isnot(None))
            .execution_options(synchronize_session=False))
        session.commit()
        self.assertEqual(result.rowcount, 1)
        self.assertEqual(bin_of(session), ['stale'])

    @managed_only(articles=2)
    def test_bulk_soft_delete(self, db):
        session = db.session()
        count = session.query(Article).filter(
            Article.slug.in_(['hello', 'stale'])).update(
                {'deleted_at': func.now()}, synchronize_session=False)
        session.commit()
        # The UPDATE assigns the marker, so it is not filtered: the deleted
        # 'stale' is marked once more.  Bulk updates of a careful mixin say
        # "deleted_at IS NULL" themselves.
        self.assertEqual(count, 3)

    @managed_only(articles=-1)
    def test_upsert_that_revives(self, db):
        """An upsert that assigns the marker asked for it."""
        session = db.session()
        key = session.execute(select(Article.id).where(
            Article.title == 'Stale',
            Article.deleted_at.isnot(None))).scalar_one()
        session.execute(
            update(Article).where(Article.slug == 'stale')
            .values(slug='renamed')
            .execution_options(synchronize_session=False))
        statement = insert(Article).values(id=key, slug='stale', title='Back')
        session.execute(statement.on_conflict_do_update(
            index_elements=[Article.id],
            set_={'title': statement.excluded.title, 'deleted_at': None}))
        session.commit()
        self.assertEqual(session.get(Article, key).title, 'Back')
        self.assertEqual(bin_of(session), [])
