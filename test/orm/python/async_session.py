"""AsyncSession as applications use it: await, no lazy loads.

Loaded only where the driver is asyncpg.  All other tests run there as well,
inside AsyncSession.run_sync().
"""

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from models import Article, Order, OrderLine, Post, User
from twin import TwinTestCase, sqlstate, twin


class AsyncSessionTest(TwinTestCase):

    def session(self, db):
        return AsyncSession(db.async_engine, expire_on_commit=False)

    @twin(posts=1, post_tags=2)
    async def test_delete(self, db):
        async with self.session(db) as session:
            post = (await session.execute(
                select(Post).where(Post.title == 'intro'))).scalar_one()
            key = post.id
            await session.delete(post)
            await session.commit()
            self.assertIsNone(await session.get(Post, key))
        async with self.session(db) as session:
            self.assertIsNone(await session.get(Post, key))
            return (await session.execute(
                select(Post.title).order_by(Post.id))).scalars().all()

    @twin(users=1, posts=2, post_tags=4, orders=2, order_lines=3)
    async def test_cascade(self, db):
        async with self.session(db) as session, session.begin():
            ann = (await session.execute(
                select(User).where(User.name == 'ann').options(
                    selectinload(User.posts), selectinload(User.orders)
                    .selectinload(Order.lines)))).scalar_one()
            await session.delete(ann)
        async with self.session(db) as session:
            users = (await session.execute(
                select(User).order_by(User.id).options(
                    selectinload(User.posts),
                    joinedload(User.orders)))).unique().scalars()
            return [(user.name, [post.title for post in user.posts],
                     [order.number for order in user.orders])
                    for user in users]

    @twin(articles=1)
    async def test_refresh_of_a_deleted_instance(self, db):
        async with self.session(db) as session, self.session(db) as other:
            row = await session.get(Article, 1)
            await session.commit()
            await other.delete(await other.get(Article, 1))
            await other.commit()
            with self.assertRaises(InvalidRequestError):
                await session.refresh(row)

    @twin(order_lines=2)
    async def test_bulk_delete(self, db):
        async with self.session(db) as session:
            counts = [(await session.execute(
                delete(OrderLine).where(OrderLine.sku == 'cup')
                .execution_options(synchronize_session=False))).rowcount
                for _ in range(2)]
            await session.commit()
        self.assertEqual(counts, [2, 0])

    @twin(order_lines=4)
    async def test_delete_returning(self, db):
        async with db.async_engine.begin() as connection:
            rows = await connection.execute(
                delete(OrderLine.__table__).returning(
                    OrderLine.order_id, OrderLine.sku, OrderLine.price))
            return sorted(rows.all())

    @twin(articles=1)
    async def test_savepoint(self, db):
        async with self.session(db) as session:
            await session.delete(await session.get(Article, 1))
            nested = await session.begin_nested()
            await session.delete(await session.get(Article, 2))
            await session.flush()
            await nested.rollback()
            await session.commit()

    @twin(articles=1)
    async def test_stream(self, db):
        """A portal that is fetched in parts while its rows are deleted."""
        async with self.session(db) as session, self.session(db) as other:
            rows = await session.stream_scalars(
                select(Article.slug).order_by(Article.id)
                .execution_options(yield_per=1))
            await other.execute(
                delete(Article).where(Article.slug == 'world'),
                execution_options={'synchronize_session': False})
            await other.commit()
            return [slug async for slug in rows]

    @twin(users=1)
    async def test_upsert(self, db):
        async with self.session(db) as session:
            await session.execute(delete(User).where(
                User.email == 'cyd@example.org').execution_options(
                    synchronize_session=False))
            statement = insert(User).values(email='cyd@example.org',
                                            name='new')
            statement = statement.on_conflict_do_update(
                index_elements=[User.email],
                set_={'name': statement.excluded.name + ' again'})
            for _ in range(7):
                await session.execute(statement)
            await session.commit()
            with self.assertRaises(IntegrityError) as caught:
                session.add(User(email='cyd@example.org', name='twice'))
                await session.flush()
            await session.rollback()
            names = await session.execute(
                select(User.name).order_by(User.id))
            return sqlstate(caught.exception), names.scalars().all()

    @twin(articles=1)
    async def test_prepared_statement_follows_the_setting(self, db):
        """asyncpg prepares what it sends; its plans must not go stale."""
        async with self.session(db) as session:
            await session.execute(
                delete(Article).where(Article.slug == 'hello'),
                execution_options={'synchronize_session': False})
            await session.commit()
            counts = []
            for setting in ['hide'] * 7 + ['show', 'hide']:
                await session.execute(text(
                    "SET LOCAL orm_ext.deleted_rows = '%s'" % setting))
                counts.append(await session.scalar(
                    select(func.count()).select_from(Article)))
                await session.commit()
            if db.managed:
                self.assertEqual(counts, [2] * 7 + [4, 2])
