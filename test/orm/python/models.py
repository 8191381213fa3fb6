"""A small shop and blog, mapped the way applications map theirs.

Only Article knows of soft deletion (through a mixin of its own).  Every
other model is plain: the marker columns that its table gets when it becomes
managed are not mapped, as for an application that was never told.

Written so that SQLAlchemy 1.4 and 2.0 both take it unchanged.
"""

from sqlalchemy import (Column, DateTime, ForeignKey, Integer, Numeric,
                        String, Table, Text, UniqueConstraint, func, select)
from sqlalchemy.orm import (backref, column_property, declarative_base,
                            relationship)

Base = declarative_base()


class User(Base):
    __tablename__ = 'users'

    id = Column(Integer, primary_key=True)
    email = Column(String, nullable=False, unique=True)
    name = Column(String, nullable=False)
    logins = Column(Integer, nullable=False, default=0)

    posts = relationship('Post', back_populates='author',
                         foreign_keys='Post.author_id',
                         cascade='all, delete-orphan', order_by='Post.id')
    # No cascade: SQLAlchemy clears the reference of what it has loaded.
    reviews = relationship('Post', back_populates='reviewer',
                           foreign_keys='Post.reviewer_id',
                           order_by='Post.id')
    orders = relationship('Order', back_populates='user',
                          cascade='all, delete-orphan', order_by='Order.id')


# The link table of a many-to-many relationship.  It has a unique key among
# live rows rather than a primary key, so that a link can be removed and made
# again; see Badge below for what a primary key means here.
post_tags = Table(
    'post_tags', Base.metadata,
    Column('post_id', ForeignKey('posts.id'), nullable=False),
    Column('tag_id', ForeignKey('tags.id'), nullable=False),
    UniqueConstraint('post_id', 'tag_id'))


class Post(Base):
    __tablename__ = 'posts'

    id = Column(Integer, primary_key=True)
    author_id = Column(ForeignKey('users.id'), nullable=False, index=True)
    reviewer_id = Column(ForeignKey('users.id'), index=True)
    title = Column(String, nullable=False)
    body = Column(Text)

    author = relationship('User', back_populates='posts',
                          foreign_keys=author_id)
    reviewer = relationship('User', back_populates='reviews',
                            foreign_keys=reviewer_id)
    tags = relationship('Tag', secondary=post_tags, back_populates='posts',
                        order_by='Tag.name')


class Tag(Base):
    __tablename__ = 'tags'

    id = Column(Integer, primary_key=True)
    name = Column(String, nullable=False, unique=True)

    posts = relationship('Post', secondary=post_tags, back_populates='tags',
                         order_by='Post.id')


User.post_count = column_property(
    select(func.count(Post.id)).where(Post.author_id == User.id)
    .correlate_except(Post).scalar_subquery(), deferred=True)


class Order(Base):
    __tablename__ = 'orders'

    id = Column(Integer, primary_key=True)
    user_id = Column(ForeignKey('users.id'), nullable=False)
    number = Column(String, nullable=False, unique=True)

    user = relationship('User', back_populates='orders')
    lines = relationship('OrderLine', back_populates='order',
                         cascade='all, delete-orphan', passive_deletes=True,
                         order_by='OrderLine.position')


class OrderLine(Base):
    __tablename__ = 'order_lines'

    order_id = Column(ForeignKey('orders.id', ondelete='CASCADE'),
                      primary_key=True)
    position = Column(Integer, primary_key=True)
    sku = Column(String, nullable=False)
    quantity = Column(Integer, nullable=False)
    price = Column(Numeric(10, 2), nullable=False)

    order = relationship('Order', back_populates='lines')


class Category(Base):
    """An adjacency list."""

    __tablename__ = 'categories'

    id = Column(Integer, primary_key=True)
    parent_id = Column(ForeignKey('categories.id'))
    name = Column(String, nullable=False)

    children = relationship('Category', cascade='all, delete-orphan',
                            order_by='Category.id',
                            backref=backref('parent', remote_side=[id]))


class Media(Base):
    """Joined-table inheritance: one object is one row in each table."""

    __tablename__ = 'media'

    id = Column(Integer, primary_key=True)
    kind = Column(String, nullable=False)
    title = Column(String, nullable=False)

    __mapper_args__ = {'polymorphic_on': kind,
                       'polymorphic_identity': 'media'}


class Photo(Media):
    __tablename__ = 'photos'

    id = Column(ForeignKey('media.id'), primary_key=True)
    width = Column(Integer, nullable=False)

    __mapper_args__ = {'polymorphic_identity': 'photo'}


class Badge(Base):
    """A key that the application chooses itself."""

    __tablename__ = 'badges'

    code = Column(String, primary_key=True)
    label = Column(String, nullable=False)


class SoftDeleteMixin:
    """The usual mixin: the application marks, restores and filters itself."""

    deleted_at = Column(DateTime(timezone=True))

    def soft_delete(self):
        self.deleted_at = func.now()

    def restore(self):
        self.deleted_at = None

    @property
    def is_deleted(self):
        return self.deleted_at is not None


class Article(SoftDeleteMixin, Base):
    __tablename__ = 'articles'

    id = Column(Integer, primary_key=True)
    slug = Column(String, nullable=False, unique=True)
    title = Column(String, nullable=False)
    views = Column(Integer, nullable=False, default=0)


class AuditEntry(Base):
    """Stays unmanaged in both databases: its deletes are real."""

    __tablename__ = 'audit_entries'

    id = Column(Integer, primary_key=True)
    message = Column(String, nullable=False)


# How the managed database declares its tables: marker column and type, one
# table at least for each type there is.
MANAGED_TABLES = {
    'users': ('deleted_at', 'timestamptz'),
    'posts': ('is_deleted', 'boolean'),
    'tags': ('deleted_at', 'bigint'),
    'post_tags': ('deleted_at', 'timestamp'),
    'orders': ('deleted_at', 'timestamptz'),
    'order_lines': ('deleted_at', 'bigint'),
    'categories': ('deleted_at', 'timestamptz'),
    'media': ('deleted_at', 'timestamptz'),
    'photos': ('is_deleted', 'boolean'),
    'badges': ('deleted_at', 'timestamptz'),
    'articles': ('deleted_at', 'timestamptz'),
}

IS_DELETED = {
    'timestamptz': '{} IS NOT NULL',
    'timestamp': '{} IS NOT NULL',
    'boolean': '{}',
    'bigint': '{} <> 0',
}
