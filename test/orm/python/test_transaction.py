"""Transactions, savepoints, locks, and sessions that meet."""

import warnings

from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError, SAWarning
from sqlalchemy.orm.exc import StaleDataError

from models import Article, Order, OrderLine, Post, Tag, User
from twin import TwinTestCase, sqlstate, twin


def article(session, slug='hello'):
    return session.query(Article).filter_by(slug=slug).one()


class TransactionTest(TwinTestCase):

    @twin
    def test_rollback(self, db):
        session = db.session()
        session.delete(article(session))
        session.flush()
        self.assertEqual(session.query(Article).count(), 2)
        session.rollback()
        self.assertEqual(article(session).title, 'Hello')

    @twin
    def test_not_seen_before_commit(self, db):
        session, other = db.session(), db.session()
        session.delete(article(session))
        session.flush()
        self.assertEqual(other.query(Article).count(), 3)
        session.rollback()

    @twin(articles=1)
    def test_savepoints(self, db):
        session = db.session()
        counts = []
        with session.begin_nested():
            session.delete(article(session, 'hello'))
        counts.append(session.query(Article).count())
        nested = session.begin_nested()
        session.delete(article(session, 'world'))
        session.flush()
        counts.append(session.query(Article).count())
        nested.rollback()
        counts.append(session.query(Article).count())
        session.commit()
        self.assertEqual(counts, [2, 1, 2])
        return session.query(Article.slug).order_by(Article.slug).all()

    @twin(articles=1)
    def test_integrity_error_inside_savepoint(self, db):
        session = db.session()
        session.delete(article(session, 'hello'))
        with self.assertRaises(IntegrityError):
            with session.begin_nested():
                session.add(Article(slug='world', title='again'))
        session.add(Article(slug='hello', title='again'))
        session.commit()
        return session.query(Article.slug, Article.title).order_by(
            Article.slug).all()

    @twin(articles=1)
    def test_update_of_a_row_deleted_elsewhere(self, db):
        session, other = db.session(), db.session()
        mine = article(session)
        session.commit()
        mine.id, mine.title  # loaded again, as an application has it
        session.expunge(mine)
        session.rollback()

        other.delete(article(other))
        other.commit()

        session.add(mine)
        mine.title = 'changed'
        with self.assertRaises(StaleDataError) as caught:
            session.commit()
        session.rollback()
        return str(caught.exception)

    @twin(articles=1)
    def test_delete_of_a_row_deleted_elsewhere(self, db):
        session, other = db.session(expire_on_commit=False), db.session()
        mine = article(session)
        session.commit()

        other.delete(article(other))
        other.commit()

        session.delete(mine)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always', SAWarning)
            session.commit()
        messages = [str(warning.message) for warning in caught]
        self.assertEqual(len(messages), 1)
        self.assertIn('expected to delete 1 row(s); 0 were matched',
                      messages[0])
        return messages

    @twin(articles=1)
    def test_repeatable_read(self, db):
        """The snapshot keeps the row; writing to it is a conflict."""
        session, other = db.session(), db.session()
        session.connection(
            execution_options={'isolation_level': 'REPEATABLE READ'})
        self.assertEqual(session.query(Article).count(), 3)

        other.delete(article(other))
        other.commit()

        self.assertEqual(session.query(Article).count(), 3)
        states = []
        for statement in (
                update(Article).where(Article.slug == 'hello')
                .values(views=0),
                delete(Article).where(Article.slug == 'hello')):
            with self.assertRaises(DBAPIError) as caught:
                with session.begin_nested():
                    session.execute(statement, execution_options={
                        'synchronize_session': False})
            states.append(sqlstate(caught.exception))
        session.rollback()
        self.assertEqual(states, ['40001', '40001'])

    @twin(articles=1)
    def test_serializable(self, db):
        session = db.session()
        session.connection(
            execution_options={'isolation_level': 'SERIALIZABLE'})
        session.delete(article(session))
        session.commit()

    @twin(articles=1)
    def test_autocommit(self, db):
        with db.engine.connect().execution_options(
                isolation_level='AUTOCOMMIT') as connection:
            result = connection.execute(
                delete(Article.__table__).where(Article.slug == 'hello'))
            self.assertEqual(result.rowcount, 1)


class LockTest(TwinTestCase):

    @twin(articles=1)
    def test_with_for_update(self, db):
        session = db.session()
        locked = session.execute(
            select(Article).where(Article.slug.in_(['hello', 'stale']))
            .order_by(Article.slug).with_for_update()).scalars().all()
        self.assertEqual([row.title for row in locked],
                         ['Hello', 'Stale again'])
        session.delete(locked[0])
        session.commit()
        self.assertIsNone(session.get(Article, 1, with_for_update=True))

    @twin(posts=1, post_tags=1)
    def test_join_for_update_of(self, db):
        session = db.session()
        post = session.execute(
            select(Post).join(Post.author).where(User.name == 'bob')
            .with_for_update(of=Post)).scalar_one()
        session.delete(post)
        session.commit()
        return session.execute(
            select(Post.title).join(Post.author)
            .with_for_update(of=[Post, User], read=True)
            .order_by(Post.id)).scalars().all()

    @twin
    def test_lock_of_an_uncommitted_delete(self, db):
        session, other = db.session(), db.session()
        session.delete(article(session))
        session.flush()

        with self.assertRaises(DBAPIError) as caught:
            other.execute(select(Article).where(Article.slug == 'hello')
                          .with_for_update(nowait=True))
        other.rollback()
        skipped = other.execute(
            select(Article.slug).order_by(Article.slug)
            .with_for_update(skip_locked=True)).scalars().all()
        other.rollback()
        session.rollback()
        self.assertEqual(sqlstate(caught.exception), '55P03')
        self.assertEqual(skipped, ['stale', 'world'])

    @twin(articles=2)
    def test_queue_idiom(self, db):
        """Workers that take a job each: FOR UPDATE SKIP LOCKED, delete."""
        workers = [db.session(), db.session()]
        taken = []
        for worker in workers:
            job = worker.execute(
                select(Article).order_by(Article.views).limit(1)
                .with_for_update(skip_locked=True)).scalar_one()
            taken.append(job.slug)
            worker.delete(job)
            worker.flush()
        for worker in workers:
            worker.commit()
        self.assertEqual(taken, ['stale', 'hello'])


class UnitOfWorkTest(TwinTestCase):

    @twin
    def test_merge_of_live_rows(self, db):
        session = db.session()
        merged = session.merge(Article(id=1, slug='hello', title='merged'))
        fresh = session.merge(Article(slug='new', title='new'))
        session.commit()
        self.assertEqual(merged.views, 10)
        return merged.title, fresh.id

    @twin
    def test_merge_of_a_detached_graph(self, db):
        session = db.session()
        ann = session.query(User).filter_by(name='ann').one()
        ann.posts, ann.posts[0].tags
        session.close()

        ann.name = 'anna'
        ann.posts[0].title = 'introduction'
        session = db.session()
        session.merge(ann)
        session.commit()
        return session.query(User.name, Post.title).join(
            User.posts).order_by(Post.id).all()

    @twin(tags=1, post_tags=1)
    def test_unique_name_deleted_and_added(self, db):
        session = db.session()
        tag = session.query(Tag).filter_by(name='misc').one()
        session.delete(tag)
        session.flush()
        session.add(Tag(name='misc'))
        session.commit()
        return session.query(Tag.name).order_by(Tag.id).all()

    @twin
    def test_insert_before_delete_in_one_flush(self, db):
        """SQLAlchemy inserts first, while the name is still taken."""
        session = db.session()
        session.delete(article(session))
        session.add(Article(slug='hello', title='replacement'))
        with self.assertRaises(IntegrityError) as caught:
            session.flush()
        session.rollback()
        return sqlstate(caught.exception)

    @twin(order_lines=1)
    def test_bulk_operations_by_key(self, db):
        session = db.session()
        session.bulk_save_objects(
            [OrderLine(order_id=2, position=2, sku='jar', quantity=1,
                       price=2)])
        session.delete(session.get(OrderLine, (1, 1)))
        session.flush()
        session.bulk_update_mappings(
            OrderLine, [{'order_id': 1, 'position': 2, 'quantity': 7}])
        session.commit()

        with self.assertRaises(StaleDataError):
            session.bulk_update_mappings(
                OrderLine, [{'order_id': 1, 'position': 1, 'quantity': 7}])
        session.rollback()

    @twin
    def test_cascade_within_rollback(self, db):
        session = db.session()
        order = session.query(Order).filter_by(number='A-1').one()
        key, lines = order.id, len(order.lines)
        session.delete(order)
        session.flush()
        self.assertIsNone(session.get(Order, key))
        session.rollback()
        self.assertEqual(len(session.get(Order, key).lines), lines)
