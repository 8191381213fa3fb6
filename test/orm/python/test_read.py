"""Queries and relationship loads over rows of which some are deleted."""

from sqlalchemy import (and_, case, column, distinct, func, literal,
                        literal_column, not_, or_, select, text, true, union,
                        union_all)
from sqlalchemy.orm import (aliased, contains_eager, joinedload, lazyload,
                            selectinload, subqueryload, undefer,
                            with_parent, with_polymorphic)

from models import (Article, Category, Media, Order, OrderLine, Photo, Post,
                    Tag, User, post_tags)
from twin import TwinTestCase, twin


def delete_some(db):
    """Deletes a post of ann's, its links, and an order, in its own session."""
    session = db.session()
    session.delete(session.query(Post).filter_by(title='intro').one())
    order = session.query(Order).filter_by(number='A-1').one()
    for line in order.lines:
        session.delete(line)
    session.delete(order)
    session.commit()


DELETED = dict(posts=1, post_tags=2, orders=1, order_lines=2)


class LoadTest(TwinTestCase):
    """The same object graph, whichever way it is loaded."""

    def graph(self, db, option):
        delete_some(db)
        session = db.session()
        query = session.query(User).order_by(User.id).options(
            option(User.posts), option(User.posts, Post.tags),
            option(User.orders), option(User.orders, Order.lines),
            option(User.reviews))
        graph = [(user.name,
                  [(post.title, [tag.name for tag in post.tags])
                   for post in user.posts],
                  [(order.number, [line.sku for line in order.lines])
                   for order in user.orders],
                  [post.title for post in user.reviews]) for user in query]
        self.assertEqual(graph, [
            ('ann', [('joins', ['misc', 'sql'])], [('A-2', ['cup'])],
             ['reply']),
            ('bob', [('reply', ['orm'])], [('B-1', ['pan'])], ['joins']),
            ('cyd', [], [], [])])

    @staticmethod
    def path(loader):
        """loader(A.b, B.c) for loaders that want them chained."""
        def option(first, *more):
            chain = loader(first)
            for attribute in more:
                chain = getattr(chain, loader.__name__)(attribute)
            return chain
        return option

    @twin(**DELETED)
    def test_lazy(self, db):
        self.graph(db, self.path(lazyload))

    @twin(**DELETED)
    def test_selectinload(self, db):
        self.graph(db, self.path(selectinload))

    @twin(**DELETED)
    def test_joinedload(self, db):
        self.graph(db, self.path(joinedload))

    @twin(**DELETED)
    def test_subqueryload(self, db):
        self.graph(db, self.path(subqueryload))

    @twin(**DELETED)
    def test_contains_eager(self, db):
        delete_some(db)
        session = db.session()
        users = session.query(User).outerjoin(User.posts).options(
            contains_eager(User.posts)).order_by(User.id, Post.id).all()
        return [(user.name, [post.title for post in user.posts])
                for user in users]

    @twin(**DELETED)
    def test_many_to_one(self, db):
        delete_some(db)
        session = db.session()
        posts = session.query(Post).options(
            joinedload(Post.author, innerjoin=True),
            joinedload(Post.reviewer)).order_by(Post.id).all()
        return [(post.title, post.author.name, post.reviewer.name)
                for post in posts]

    @twin(**DELETED)
    def test_collection_refreshed(self, db):
        session = db.session()
        ann = session.query(User).filter_by(name='ann').one()
        before = [post.title for post in ann.posts]
        session.commit()
        delete_some(db)
        self.assertEqual(before, ['intro', 'joins'])
        self.assertEqual([post.title for post in ann.posts], ['joins'])

    @twin
    def test_self_referential(self, db):
        session = db.session()
        root = session.query(Category).options(
            selectinload(Category.children)
            .selectinload(Category.children)).filter_by(name='root').one()
        return [(child.name, [leaf.name for leaf in child.children])
                for child in root.children]

    @twin
    def test_polymorphic(self, db):
        session = db.session()
        return [(type(media).__name__, media.title, media.width)
                for media in session.query(with_polymorphic(Media, '*'))]


class QueryTest(TwinTestCase):

    @twin(**DELETED)
    def test_counts(self, db):
        delete_some(db)
        session = db.session()
        counts = [session.query(entity).count()
                  for entity in (User, Post, Tag, Order, OrderLine, Category,
                                 Media, Photo, Article)]
        self.assertEqual(counts, [3, 2, 3, 2, 2, 4, 1, 1, 3])
        self.assertEqual(session.execute(select(
            func.count(distinct(post_tags.c.tag_id)))).scalar_one(), 3)

    @twin(**DELETED)
    def test_exists(self, db):
        delete_some(db)
        session = db.session()
        ann = session.query(User).filter_by(name='ann').one()
        return [session.query(query.exists()).scalar() for query in (
            session.query(Post).filter_by(title='intro'),
            session.query(Post).filter_by(title='joins'),
            session.query(User).filter_by(email='ghost@example.org'),
            session.query(Order).filter(with_parent(ann, User.orders)))]

    @twin(**DELETED)
    def test_aggregates(self, db):
        delete_some(db)
        session = db.session()
        return session.query(
            User.name, func.count(OrderLine.sku),
            func.sum(OrderLine.quantity * OrderLine.price)
        ).outerjoin(User.orders).outerjoin(Order.lines).group_by(
            User.id).having(func.count() > 0).order_by(User.id).all()

    @twin(**DELETED)
    def test_any_and_has(self, db):
        delete_some(db)
        session = db.session()
        return [
            session.query(User.name).filter(condition).order_by(
                User.id).all()
            for condition in (
                User.posts.any(), ~User.posts.any(),
                User.posts.any(Post.title == 'intro'),
                User.posts.any(Post.tags.any(Tag.name == 'sql')),
                User.reviews.any(Post.author.has(name='ann')),
                User.orders.any(~Order.lines.any()))]

    @twin(**DELETED)
    def test_joins(self, db):
        delete_some(db)
        session = db.session()
        reviewer = aliased(User)
        return (
            session.query(User.name, Post.title).join(User.posts).order_by(
                Post.id).all(),
            session.query(User.name, Post.title).outerjoin(
                Post, and_(Post.author_id == User.id,
                           Post.title != 'joins')).order_by(User.id).all(),
            session.query(Post.title, reviewer.name).join(
                reviewer, Post.reviewer).order_by(Post.id).all(),
            sorted(session.query(User.name, Tag.name).outerjoin(
                Tag, func.length(Tag.name) == func.length(User.name),
                full=True).all(), key=str))

    @twin(**DELETED)
    def test_subqueries(self, db):
        delete_some(db)
        session = db.session()
        newest = (select(func.max(Post.id)).where(Post.author_id == User.id)
                  .correlate(User).scalar_subquery())
        busy = select(Post.author_id).distinct()
        top = (select(Order.number).where(Order.user_id == User.id)
               .order_by(Order.id).limit(1).lateral('top'))
        return (
            session.query(User.name, newest).order_by(User.id).all(),
            session.query(User.name).filter(User.id.in_(busy)).order_by(
                User.id).all(),
            session.query(User.name).filter(not_(User.id.in_(busy))).all(),
            session.query(User.name, top.c.number).outerjoin(
                top, true()).order_by(User.id).all())

    @twin(**DELETED)
    def test_unions(self, db):
        delete_some(db)
        session = db.session()
        names = [select(User.name.label('n')), select(Tag.name.label('n')),
                 select(Post.title.label('n')).where(Post.id > 0)]
        both = union_all(*names).subquery()
        return (
            sorted(session.execute(union(*names)).scalars()),
            session.execute(select(func.count()).select_from(both))
            .scalar_one(),
            session.execute(select(both.c.n).where(
                both.c.n.like('%o%')).order_by(both.c.n)).scalars().all())

    @twin(**DELETED)
    def test_ctes(self, db):
        delete_some(db)
        session = db.session()
        tree = select(Category.id, Category.name,
                      literal(0).label('depth')).where(
            Category.parent_id.is_(None)).cte('tree', recursive=True)
        tree = tree.union_all(
            select(Category.id, Category.name, tree.c.depth + 1)
            .join(tree, Category.parent_id == tree.c.id))
        return session.execute(select(tree.c.name, tree.c.depth).order_by(
            tree.c.depth, tree.c.id)).all()

    @twin(**DELETED)
    def test_window_functions(self, db):
        delete_some(db)
        session = db.session()
        return session.query(
            OrderLine.sku, func.row_number().over(
                order_by=[OrderLine.order_id, OrderLine.position]),
            func.count().over()).order_by(OrderLine.order_id).all()

    @twin(**DELETED)
    def test_case_and_filter(self, db):
        delete_some(db)
        session = db.session()
        return session.query(
            func.count().filter(Post.body.isnot(None)),
            func.sum(case((Post.reviewer_id.is_(None), 0), else_=1)),
            func.array_agg(Post.title)).one()

    @twin(**DELETED)
    def test_column_property(self, db):
        delete_some(db)
        session = db.session()
        return [(user.name, user.post_count) for user in session.query(User)
                .options(undefer(User.post_count)).order_by(User.id)]

    @twin
    def test_pagination(self, db):
        session = db.session()
        for number in range(40):
            session.add(Article(slug='s%02d' % number, title='T'))
        session.flush()
        for article in session.query(Article).filter(
                Article.slug.like('s%'), Article.id % 2 == 0):
            session.delete(article)
        session.flush()
        query = session.query(Article.slug).filter(
            Article.slug.like('s%')).order_by(Article.slug)
        pages = [query.limit(8).offset(8 * page).all() for page in range(4)]
        self.assertEqual([len(page) for page in pages], [8, 8, 4, 0])
        after = query.filter(Article.slug > pages[0][-1][0]).limit(8).all()
        self.assertEqual(after, pages[1])
        total = query.order_by(None).count()
        session.rollback()
        return pages, total

    @twin(**DELETED)
    def test_streamed(self, db):
        delete_some(db)
        session = db.session()
        lines = session.execute(
            select(OrderLine).order_by(OrderLine.order_id)
            .execution_options(yield_per=1)).scalars()
        return [line.sku for line in lines]

    @twin(**DELETED)
    def test_text_and_from_statement(self, db):
        delete_some(db)
        session = db.session()
        return (
            session.execute(text(
                'SELECT title FROM posts WHERE id > :low ORDER BY 1'),
                {'low': 0}).scalars().all(),
            [post.title for post in session.execute(
                select(Post).from_statement(text(
                    'SELECT id, author_id, reviewer_id, title, body '
                    'FROM posts ORDER BY title'))).scalars()],
            session.execute(select(func.count()).select_from(
                text('users'))).scalar_one(),
            session.execute(select(column('n')).select_from(
                text('(SELECT name AS n FROM users) AS x'))
                .where(or_(column('n') == 'ghost', column('n') == 'cyd'),
                       literal_column('1') == 1)).all())

    @twin
    def test_same_statement_again_and_again(self, db):
        """Beyond the fifth execution drivers and server use cached plans."""
        session = db.session()
        counts = []
        for key in range(1, 9):
            counts.append(session.query(OrderLine).filter(
                OrderLine.order_id < 3).count())
            session.query(OrderLine).filter_by(
                order_id=1, position=key).delete(synchronize_session=False)
            if key == 6:
                session.rollback()
        self.assertEqual(counts, [3, 2, 1, 1, 1, 1, 3, 3])
        session.rollback()
        return counts
