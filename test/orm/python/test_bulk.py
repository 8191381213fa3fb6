"""DELETE and UPDATE statements as applications write them."""

from sqlalchemy import (delete, exists, func, literal, select, text, tuple_,
                        update)

from models import (Article, AuditEntry, Order, OrderLine, Post, Tag, User,
                    post_tags)
from twin import TwinTestCase, twin


class BulkTest(TwinTestCase):

    def query_delete(self, db, strategy):
        session = db.session()
        lines = session.query(OrderLine).all()
        count = session.query(OrderLine).filter(
            OrderLine.sku == 'cup').delete(synchronize_session=strategy)
        known = sorted(line.sku for line in lines if line in session)
        again = session.query(OrderLine).filter(
            OrderLine.sku == 'cup').delete(synchronize_session=strategy)
        session.commit()
        self.assertEqual((count, again), (2, 0))
        return known, session.query(OrderLine.sku).order_by(
            OrderLine.sku).all()

    @twin(order_lines=2)
    def test_query_delete_unsynchronized(self, db):
        return self.query_delete(db, False)

    @twin(order_lines=2)
    def test_query_delete_evaluate(self, db):
        return self.query_delete(db, 'evaluate')

    @twin(order_lines=2)
    def test_query_delete_fetch(self, db):
        return self.query_delete(db, 'fetch')

    @twin(order_lines=2)
    def test_delete_where(self, db):
        session = db.session()
        line = session.get(OrderLine, (1, 2))
        result = session.execute(
            delete(OrderLine).where(OrderLine.order_id == 1)
            .execution_options(synchronize_session='fetch'))
        self.assertEqual(result.rowcount, 2)
        self.assertNotIn(line, session)
        session.commit()

    @twin(order_lines=2)
    def test_delete_returning(self, db):
        """RETURNING shows each row as it was, computed columns included."""
        with db.engine.begin() as connection:
            rows = connection.execute(
                delete(OrderLine.__table__).where(OrderLine.sku == 'cup')
                .returning(OrderLine.order_id, OrderLine.sku,
                           (OrderLine.quantity * OrderLine.price)
                           .label('value'))).all()
            again = connection.execute(
                delete(OrderLine.__table__).where(OrderLine.sku == 'cup')
                .returning(OrderLine.order_id)).all()
        self.assertEqual((len(rows), again), (2, []))
        return sorted(rows)

    @twin(articles=3)
    def test_delete_returning_the_marker(self, db):
        """Where the model maps the marker, it is returned as it was."""
        with db.engine.begin() as connection:
            return sorted(connection.execute(
                delete(Article.__table__)
                .returning(*Article.__table__.c)).all())

    @twin(post_tags=2)
    def test_delete_in_subquery(self, db):
        with db.engine.begin() as connection:
            result = connection.execute(delete(post_tags).where(
                post_tags.c.tag_id.in_(
                    select(Tag.id).where(Tag.name == 'orm'))))
            self.assertEqual(result.rowcount, 2)

    @twin(order_lines=3)
    def test_delete_exists(self, db):
        with db.engine.begin() as connection:
            result = connection.execute(
                delete(OrderLine.__table__).where(exists().where(
                    Order.id == OrderLine.order_id,
                    Order.number.like('A-%'))))
            self.assertEqual(result.rowcount, 3)

    @twin(order_lines=1)
    def test_delete_using(self, db):
        with db.engine.begin() as connection:
            result = connection.execute(
                delete(OrderLine.__table__).where(
                    OrderLine.order_id == Order.id,
                    Order.user_id == User.id, User.name == 'bob'))
            self.assertEqual(result.rowcount, 1)

    @twin(order_lines=2)
    def test_delete_composite_in(self, db):
        session = db.session()
        count = session.query(OrderLine).filter(
            tuple_(OrderLine.order_id, OrderLine.position).in_(
                [(1, 1), (2, 1), (1, 3), (7, 7)])
        ).delete(synchronize_session=False)
        session.commit()
        self.assertEqual(count, 2)

    @twin(order_lines=4)
    def test_delete_everything(self, db):
        session = db.session()
        self.assertEqual(session.query(OrderLine).delete(), 4)
        self.assertEqual(session.query(OrderLine).delete(), 0)
        self.assertEqual(session.query(OrderLine).count(), 0)
        session.commit()

    @twin(order_lines=4)
    def test_archive_idiom(self, db):
        """WITH gone AS (DELETE … RETURNING …) INSERT … SELECT."""
        gone = delete(OrderLine.__table__).returning(
            OrderLine.sku, OrderLine.quantity).cte('gone')
        with db.engine.begin() as connection:
            connection.execute(AuditEntry.__table__.insert().from_select(
                ['message'], select(gone.c.sku)))
            return sorted(connection.execute(
                select(AuditEntry.message)).scalars())

    @twin(order_lines=1)
    def test_executemany(self, db):
        with db.engine.begin() as connection:
            connection.execute(
                text('DELETE FROM order_lines '
                     'WHERE order_id = :order AND position = :position'),
                [{'order': 1, 'position': 1}, {'order': 1, 'position': 3},
                 {'order': 9, 'position': 9}])

    @twin
    def test_update_leaves_deleted_rows_alone(self, db):
        session = db.session()
        result = session.execute(
            update(User).values(logins=User.logins + 1)
            .execution_options(synchronize_session=False))
        self.assertEqual(result.rowcount, 3)
        self.assertEqual(session.query(User).filter_by(name='ghost').update(
            {'logins': 0}, synchronize_session=False), 0)
        session.commit()
        return session.query(User.name, User.logins).order_by(User.id).all()

    @twin
    def test_update_returning_and_from(self, db):
        with db.engine.begin() as connection:
            posts = (select(Post.author_id, func.count().label('n'))
                     .group_by(Post.author_id).subquery())
            return sorted(connection.execute(
                update(User.__table__)
                .where(User.id == posts.c.author_id)
                .values(logins=posts.c.n)
                .returning(User.name, User.logins)).all())

    @twin
    def test_insert_from_select(self, db):
        with db.engine.begin() as connection:
            connection.execute(AuditEntry.__table__.insert().from_select(
                ['message'],
                select(literal('post ') + Post.title).order_by(Post.id)))
