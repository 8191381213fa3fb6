"""SQLAlchemy: the unit of work, Core, Alembic's operations.  With asyncpg, by AsyncSession's
run_sync().
"""

import os

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import (Session, declarative_base, joinedload,
                            relationship, selectinload)
from sqlalchemy.orm.exc import StaleDataError

import play
from play import NOT_PREPARED, email

DRIVER = os.environ['ORM_EXT_DRIVER']

Base = declarative_base()
Time = sa.DateTime(timezone=True)


class Author(Base):
    __tablename__ = 'authors'

    id = sa.Column(sa.Integer, primary_key=True)
    email = sa.Column(sa.Text, nullable=False, unique=True)
    name = sa.Column(sa.Text, nullable=False)
    version = sa.Column(sa.Integer, nullable=False, server_default='1')
    created_at = sa.Column(Time, nullable=False, server_default=func.now())
    updated_at = sa.Column(Time, nullable=False, server_default=func.now(),
                           onupdate=func.now())
    books = relationship('Book', back_populates='author', order_by='Book.id',
                         cascade='all, delete-orphan', passive_deletes=True)

    __mapper_args__ = {'version_id_col': version}


class Book(Base):
    __tablename__ = 'books'

    id = sa.Column(sa.Integer, primary_key=True)
    author_id = sa.Column(sa.ForeignKey('authors.id', ondelete='CASCADE'),
                          nullable=False, index=True)
    title = sa.Column(sa.Text, nullable=False)
    price = sa.Column(sa.Integer, nullable=False)
    author = relationship('Author', back_populates='books')


def create_tables(op):
    op.create_table(
        'authors', sa.Column('id', sa.Integer, primary_key=True),
        sa.Column('email', sa.Text, nullable=False, unique=True),
        sa.Column('name', sa.Text, nullable=False),
        sa.Column('version', sa.Integer, nullable=False, server_default='1'),
        sa.Column('created_at', Time, nullable=False, server_default=func.now()),
        sa.Column('updated_at', Time, nullable=False, server_default=func.now()),
        sa.Column('deleted_at', Time))
    op.create_table(
        'books', sa.Column('id', sa.Integer, primary_key=True),
        sa.Column('author_id', sa.Integer, nullable=False),
        sa.Column('title', sa.Text, nullable=False),
        sa.Column('price', sa.Integer, nullable=False),
        sa.Column('deleted_at', Time),
        sa.ForeignKeyConstraint(['author_id'], ['authors.id'], ondelete='CASCADE'))
    op.create_index('ix_books_author_id', 'books', ['author_id'])


def drop_tables(op):
    op.drop_index('ix_books_author_id', table_name='books')
    op.drop_table('books')
    op.drop_table('authors')


def add_pages(op):
    op.add_column('books', sa.Column('pages', sa.Integer))


def drop_pages(op):
    op.drop_column('books', 'pages')


def differences(connection):
    """What autogenerate finds in a table whose key is declared to hold among live rows."""
    tags = sa.Table(
        'tags', sa.MetaData(), sa.Column('id', sa.Integer, primary_key=True),
        sa.Column('name', sa.Text, nullable=False), sa.Column('deleted_at', Time),
        sa.Index('tags_name_key', 'name', unique=True,
                 postgresql_where=sa.text('deleted_at IS NULL')))
    tags.create(connection)
    context = MigrationContext.configure(connection, opts={
        'include_name': lambda name, kind, _: kind != 'table' or name == 'tags'})
    return compare_metadata(context, tags.metadata)


def titles(books):
    return [book.title for book in books]


class SQLAlchemy(play.Client):

    packages = ('sqlalchemy', DRIVER)
    notes = {'schema': play.DIFFS}
    if DRIVER == 'psycopg2':
        notes['pgbouncer'] = NOT_PREPARED

    def __init__(self, database, port, prepare):
        query = {'host': os.environ['PGHOST'], 'port': str(port)}
        if DRIVER == 'asyncpg':
            from sqlalchemy.ext.asyncio import create_async_engine
            import asyncio
            cache = {} if prepare else {'statement_cache_size': 0,
                                        'prepared_statement_cache_size': 0}
            self.loop = asyncio.new_event_loop()
            self.async_engine = create_async_engine(
                'postgresql+asyncpg://%s@/%s' % (os.environ['PGUSER'], database),
                connect_args=dict(cache, host=query['host'], port=int(port)))
            self.engine = self.async_engine.sync_engine
        else:
            self.engine = sa.create_engine(
                'postgresql+%s://%s@/%s' % (DRIVER, os.environ['PGUSER'], database),
                connect_args=query, future=True)

    def run(self, scenario):
        if DRIVER != 'asyncpg':
            return scenario()
        from sqlalchemy.ext.asyncio import AsyncSession

        async def inside():
            async with AsyncSession(self.async_engine) as session:
                return await session.run_sync(lambda _: scenario())

        return self.loop.run_until_complete(inside())

    def close(self):
        if DRIVER == 'asyncpg':
            self.loop.run_until_complete(self.async_engine.dispose())
            self.loop.close()
        else:
            self.engine.dispose()

    def session(self):
        return Session(self.engine, future=True)

    def schema(self):
        """Up, down and up again."""
        states = []
        for step in (create_tables, add_pages, drop_pages, drop_tables,
                     create_tables, add_pages):
            with self.engine.begin() as connection:
                step(Operations(MigrationContext.configure(connection)))
                states.append(sorted(
                    sa.inspect(connection).get_table_names()))
        with self.engine.begin() as connection:
            assert differences(connection) == []
        return states

    def write(self, name, books=()):
        with self.session() as session, session.begin():
            author = Author(email=email(name), name=name, books=[
                Book(title=title, price=price)
                for price, title in enumerate(books, 1)])
            session.add(author)
            session.flush()
            return author.id

    def find(self, session, name):
        return session.execute(select(Author).filter_by(
            email=email(name))).scalar_one_or_none()

    def name(self, of):
        with self.session() as session:
            return session.execute(select(Author.name).filter_by(
                email=email(of))).scalar_one_or_none()

    def names(self, *of):
        with self.session() as session:
            return session.execute(select(Author.name).where(
                Author.email.in_([email(name) for name in of])
            ).order_by(Author.email)).scalars().all()

    def execute(self, statement):
        with self.session() as session, session.begin():
            return session.execute(statement, execution_options={
                'synchronize_session': False}).rowcount

    def crud(self):
        self.write('Ann')
        self.write('Bob')
        with self.session() as session:
            ann = self.find(session, 'Ann')
            answer = [ann.name]
            ann.name = 'Anna'
            session.commit()
            answer.append(self.name('Ann'))
            session.delete(ann)
            session.commit()
            answer += [1, self.find(session, 'Ann')]
        of_ann = Author.email == email('Ann')
        answer.append(self.execute(
            sa.update(Author).where(of_ann).values(name='nobody')))
        answer.append(self.execute(sa.delete(Author).where(of_ann)))
        self.write('Ann')
        answer.append(play.refused('unique', IntegrityError, self.write, 'Ann'))
        return answer + [self.names('Ann', 'Bob')]

    def relations(self):
        cyd = self.write('Cyd', 'ABC')
        every = [cyd, self.write('Dan', 'D'), self.write('Eve')]
        self.execute(sa.delete(Book).where(Book.title == 'B'))
        answer = []
        for strategy in (joinedload, selectinload):
            with self.session() as session:
                authors = session.execute(
                    select(Author).options(strategy(Author.books))
                    .where(Author.id.in_(every)).order_by(Author.id)
                ).unique().scalars()
                answer.append([[author.name, titles(author.books)]
                               for author in authors])
        with self.session() as session:
            author = self.find(session, 'Cyd')
            answer.append(titles(author.books))
            book = session.execute(
                select(Book).filter_by(title='D')).scalar_one()
            answer.append(book.author.name)
            session.delete(author)
            session.commit()
            answer.append(titles(session.execute(
                select(Book).where(Book.author_id.in_(every))).scalars()))
            session.add(Book(author_id=cyd, title='E', price=1))
            answer.append(play.refused(
                'foreign key', IntegrityError, session.flush))
        return answer

    def count(self, author, session=None):
        query = select(func.count()).select_from(Book).filter_by(
            author_id=author)
        if session:
            return session.execute(query).scalar_one()
        with self.session() as session:
            return session.execute(query).scalar_one()

    def bulk_delete(self):
        fay = self.write('Fay', ['F%d' % i for i in range(1, 7)])
        books = sa.delete(Book).where(Book.author_id == fay)
        by_fay = select(Author.id).filter_by(name='Fay').scalar_subquery()
        return [
            self.execute(books.where(Book.price > 4)),
            self.execute(books.where(Book.price > 4)),
            self.execute(sa.update(Book).where(
                Book.author_id == fay, Book.price >= 3
            ).values(price=Book.price * 10)),
            self.execute(sa.delete(Book).where(
                Book.author_id.in_(by_fay), Book.price < 3)),
            self.count(fay), self.execute(books), self.count(fay)]

    def transactions(self):
        gus = self.write('Gus', ['G1', 'G2', 'G3'])
        books = sa.delete(Book).where(Book.author_id == gus)
        options = {'synchronize_session': False}
        answer = []
        with self.session() as session:
            session.execute(books, execution_options=options)
            answer += [self.count(gus, session), self.count(gus)]
            session.rollback()
            answer.append(self.count(gus, session))
            session.execute(books.where(Book.title == 'G1'),
                            execution_options=options)
            savepoint = session.begin_nested()
            session.execute(books, execution_options=options)
            answer.append(self.count(gus, session))
            savepoint.rollback()
            answer.append(self.count(gus, session))
            session.commit()
            answer.append(self.count(gus))

            def twice():
                with session.begin_nested():
                    session.add(Author(email=email('Gus'), name='Gus'))

            answer.append(play.refused('unique', IntegrityError, twice))
            session.execute(books.where(Book.title == 'G2'),
                            execution_options=options)
            session.commit()
        return answer + [self.count(gus)]

    def lock(self):
        self.write('Hal')

        def save(session, author, name):
            author.name = name
            try:
                session.commit()
                return 'saved'
            except StaleDataError:
                session.rollback()
                return 'stale'

        with self.session() as mine, self.session() as theirs:
            my, their = self.find(mine, 'Hal'), self.find(theirs, 'Hal')
            answer = [save(theirs, their, 'theirs'), save(mine, my, 'mine')]
            # The rollback has expired it.
            return answer + [my.name, save(mine, my, 'mine'),
                             self.name('Hal')]

    def upsert(self):
        def merge(*rows):
            statement = insert(Author).values([
                {'email': email(key), 'name': name} for key, name in rows])
            return statement.on_conflict_do_update(
                index_elements=['email'],
                set_={'name': statement.excluded.name})

        answer = []
        for name in ('Ivy', 'Ivy 2'):
            self.execute(merge(('Ivy', name)))
            answer.append(self.name('Ivy'))
        self.execute(sa.delete(Author).where(Author.email == email('Ivy')))
        self.execute(merge(('Ivy', 'Ivy 3')))
        answer.append(self.name('Ivy'))
        self.execute(insert(Author).values(email=email('Ivy'), name='nobody')
                     .on_conflict_do_nothing())
        answer.append(self.name('Ivy'))
        self.execute(merge(('Ivy', 'Ivy 4'), ('Jan', 'Jan')))
        return answer + [self.names('Ivy', 'Jan')]

    def pages(self):
        kim = self.write('Kim', play.TWELVE)
        self.execute(sa.delete(Book).where(
            Book.author_id == kim, Book.title.in_(['P03', 'P07'])))
        books = select(Book.title).filter_by(author_id=kim).order_by(
            Book.title).limit(4)
        with self.session() as session:
            offset = [session.execute(books.offset(start)).scalars().all()
                      for start in (0, 4, 8)]
            keyset, last = [], ''
            while True:
                page = session.execute(
                    books.where(Book.title > last)).scalars().all()
                if not page:
                    return [offset, self.count(kim), keyset]
                keyset.append(page)
                last = page[-1]

    def clear(self):
        self.execute(sa.delete(Book))
        self.execute(sa.delete(Author))

    def find_lea(self):
        return self.name('Lea')

    def remove_lea(self):
        self.execute(sa.delete(Author).where(Author.email == email('Lea')))

    def create_lea(self):
        self.write('Lea')


if __name__ == '__main__':
    play.main(SQLAlchemy)
