"""session.delete() and the cascades of the unit of work."""

from sqlalchemy import func, inspect, select
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm.exc import ObjectDeletedError

from models import (AuditEntry, Category, Media, Order, OrderLine, Photo,
                    Post, Tag, User)
from twin import TwinTestCase, managed_only, twin


def by_name(session, name):
    return session.execute(select(User).filter_by(name=name)).scalar_one()


def by_title(session, title):
    return session.execute(select(Post).filter_by(title=title)).scalar_one()


class DeleteTest(TwinTestCase):

    @twin(posts=1, post_tags=2)
    def test_delete_one_object(self, db):
        session = db.session()
        post = by_title(session, 'intro')
        key = post.id
        session.delete(post)
        session.commit()

        self.assertTrue(inspect(post).was_deleted)
        self.assertIsNone(session.get(Post, key))
        self.assertIsNone(db.session().get(Post, key))
        self.assertIsNone(session.query(Post).filter_by(id=key).first())
        return session.query(Post.title).order_by(Post.id).all()

    @twin(posts=1, post_tags=1)
    def test_deleted_by_another_session(self, db):
        """Expired instances find out as they would without orm_ext."""
        session, other = db.session(), db.session()
        post = by_title(session, 'reply')
        session.commit()

        other.delete(other.get(Post, post.id))
        other.commit()

        with self.assertRaises(InvalidRequestError):
            session.refresh(post)
        session.rollback()
        session.expire_all()
        with self.assertRaises(ObjectDeletedError):
            post.title
        session.rollback()

    @twin(users=1, posts=2, post_tags=4, orders=2, order_lines=3)
    def test_cascade_all_delete_orphan(self, db):
        session = db.session()
        ann = by_name(session, 'ann')
        # ann reviewed bob's post: that reference is cleared, not cascaded.
        orders = [(order.number, len(order.lines)) for order in ann.orders]
        session.delete(ann)
        session.commit()

        self.assertEqual(orders, [('A-1', 2), ('A-2', 1)])
        self.assertEqual(session.query(Order.number).all(), [('B-1',)])
        self.assertIsNone(by_title(session, 'reply').reviewer)
        return session.query(User.name, Post.title).join(
            User.posts).order_by(Post.id).all()

    @twin(posts=1, post_tags=2)
    def test_orphan_is_deleted(self, db):
        session = db.session()
        ann = by_name(session, 'ann')
        ann.posts.remove(ann.posts[0])
        session.commit()
        self.assertEqual([post.title for post in ann.posts], ['joins'])

    @twin(posts=2, post_tags=4)
    def test_collection_replaced(self, db):
        session = db.session()
        ann = by_name(session, 'ann')
        ann.posts = [Post(title='fresh')]
        session.commit()
        session.expire_all()
        return [(post.id, post.title) for post in ann.posts]

    @twin(post_tags=1)
    def test_link_removed(self, db):
        session = db.session()
        post = by_title(session, 'joins')
        post.tags.remove(post.tags[0])
        session.commit()
        self.assertEqual([tag.name for tag in post.tags], ['sql'])
        return session.query(Tag.name).order_by(Tag.id).all()

    @twin(post_tags=3)
    def test_link_removed_and_made_again(self, db):
        session = db.session()
        post = by_title(session, 'intro')
        sql = session.query(Tag).filter_by(name='sql').one()
        for _ in range(3):
            post.tags.remove(sql)
            session.commit()
            post.tags.append(sql)
            session.commit()
        return [tag.name for tag in post.tags]

    @twin(tags=1, post_tags=2)
    def test_other_side_of_the_links(self, db):
        session = db.session()
        session.delete(session.query(Tag).filter_by(name='sql').one())
        session.commit()
        return [(post.title, [tag.name for tag in post.tags])
                for post in session.query(Post).order_by(Post.id)]

    @twin(orders=1, order_lines=2)
    def test_passive_deletes_of_loaded_children(self, db):
        session = db.session()
        order = session.query(Order).filter_by(number='A-1').one()
        self.assertEqual([line.sku for line in order.lines], ['cup', 'pot'])
        session.delete(order)
        session.commit()
        return session.query(OrderLine.sku).order_by(OrderLine.sku).all()

    @twin(orders=1, order_lines=2)
    def test_passive_deletes_of_unloaded_children(self, db):
        """SQLAlchemy leaves these to ON DELETE CASCADE."""
        session = db.session()
        session.delete(session.query(Order).filter_by(number='A-1').one())
        session.commit()
        return session.query(OrderLine.sku).order_by(OrderLine.sku).all()

    @twin(order_lines=1)
    def test_row_with_composite_key(self, db):
        session = db.session()
        order = session.query(Order).filter_by(number='A-1').one()
        gone = order.lines.pop()
        session.commit()
        self.assertIsNone(session.get(OrderLine, (order.id, gone.position)))
        return [(line.position, line.sku) for line in order.lines]

    @twin(media=1, photos=1)
    def test_joined_inheritance(self, db):
        session = db.session()
        photo = session.query(Photo).one()
        key = photo.id
        session.delete(photo)
        session.commit()
        self.assertIsNone(session.get(Media, key))
        self.assertEqual(session.query(Media).all(), [])

    @twin(categories=2)
    def test_adjacency_list(self, db):
        session = db.session()
        root = session.query(Category).filter_by(name='root').one()
        session.delete(root.children[0])
        session.commit()
        return [child.name for child in root.children]

    @twin(users=1, posts=1, post_tags=5, orders=1, order_lines=1, tags=3)
    def test_many_objects_in_one_flush(self, db):
        """One flush: executemany, in the order of the dependencies."""
        session = db.session()
        session.delete(by_name(session, 'bob'))
        for post in session.query(Post).filter(Post.author.has(name='ann')):
            post.tags = []
        for order in session.query(Order):
            len(order.lines)  # loaded, see passive deletes above
        for tag in session.query(Tag):
            session.delete(tag)
        session.flush()
        counts = [session.execute(select(func.count()).select_from(entity))
                  .scalar_one() for entity in (User, Post, Tag, Order)]
        session.rollback()
        self.assertEqual(session.query(Tag).count(), 3)

        # The same for good, one object at a time.
        bob = by_name(session, 'bob')
        len(bob.orders[0].lines)
        session.delete(bob)
        session.commit()
        for tag in session.query(Tag).order_by(Tag.id):
            for post in list(tag.posts):
                tag.posts.remove(post)
            session.flush()
            session.delete(tag)
            session.flush()
        session.commit()
        return counts, session.query(Post.title).order_by(Post.id).all()

    @twin
    def test_unmanaged_table_beside_managed_ones(self, db):
        session = db.session()
        session.delete(session.get(AuditEntry, 1))
        session.commit()
        return session.query(AuditEntry.message).all()

    @managed_only(posts=1, post_tags=2)
    def test_row_is_still_there(self, db):
        """What the application deleted, seen by who asks for it."""
        session = db.session()
        post = by_title(session, 'intro')
        key = post.id
        session.delete(post)
        session.commit()

        self.assertIsNone(session.get(Post, key))
        session.connection().exec_driver_sql(
            "SET LOCAL orm_ext.deleted_rows = 'show'")
        self.assertEqual(session.get(Post, key).body, 'first')
        session.commit()
        session.expunge_all()
        # SET LOCAL ended with its transaction, for cached statements too.
        self.assertIsNone(session.get(Post, key))

    @managed_only(post_tags=-4, posts=-2, tags=-1)
    def test_real_delete(self, db):
        """How to get rid of a row for good."""
        session = db.session()
        session.connection().exec_driver_sql(
            "SET LOCAL orm_ext.delete_mode = 'hard'")
        post = Post(title='never was', author=by_name(session, 'bob'))
        session.add(post)
        session.flush()
        session.delete(post)
        session.commit()
        # From the bin, a DELETE is final without any setting; what refers
        # to it goes first, as the server's foreign keys see every row.
        for table, condition in (('post_tags', 'deleted_at IS NOT NULL'),
                                 ('posts', 'is_deleted'),
                                 ('tags', 'deleted_at > 0')):
            session.connection().exec_driver_sql(
                'DELETE FROM %s WHERE %s' % (table, condition))
        session.commit()
