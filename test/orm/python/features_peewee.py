"""Peewee: models to which the marker is a column like others, its migrations, versions by expressions."""

from datetime import datetime, timezone

import peewee
from playhouse.migrate import PostgresqlMigrator, migrate
from playhouse.postgres_ext import DateTimeTZField

import play
from play import BY_HAND, NOT_PREPARED, email, refused

# Whichever database comes.
proxy = peewee.DatabaseProxy()


def now():
    return datetime.now(timezone.utc)


class Author(peewee.Model):
    email = peewee.CharField(unique=True)
    name = peewee.TextField()
    version = peewee.IntegerField(default=1, constraints=[peewee.SQL('DEFAULT 1')])
    created_at = DateTimeTZField(default=now)
    updated_at = DateTimeTZField(default=now)
    deleted_at = DateTimeTZField(null=True)

    class Meta:
        database = proxy
        table_name = 'authors'


class Book(peewee.Model):
    author = peewee.ForeignKeyField(Author, backref='books', on_delete='CASCADE')
    title = peewee.TextField()
    price = peewee.IntegerField()
    deleted_at = DateTimeTZField(null=True)

    class Meta:
        database = proxy
        table_name = 'books'


class Peewee(play.Client):

    packages = ('peewee',)
    notes = {'lock': BY_HAND, 'pgbouncer': NOT_PREPARED}

    def __init__(self, database, port, prepare):
        address = play.address(database, port)
        name = address.pop('dbname')
        self.db = peewee.PostgresqlDatabase(name, **address)
        self.other = peewee.PostgresqlDatabase(name, **address)
        proxy.initialize(self.db)

    def close(self):
        self.db.close()
        self.other.close()

    def schema(self):
        """Up, down and up again."""
        migrator = PostgresqlMigrator(self.db)
        states = []

        def up():
            self.db.create_tables([Author, Book])
            migrate(migrator.add_column(
                'books', 'pages', peewee.IntegerField(null=True)))
            states.append(sorted(self.db.get_tables()))

        def down():
            migrate(migrator.drop_column('books', 'pages'))
            self.db.drop_tables([Book, Author])
            states.append(sorted(self.db.get_tables()))

        up()
        down()
        up()
        return states

    def write(self, name, titles=()):
        with self.db.atomic():
            author = Author.create(email=email(name), name=name)
            Book.bulk_create([Book(author=author, title=title, price=price)
                              for price, title in enumerate(titles, 1)])
        return author

    def find(self, name):
        return Author.get_or_none(Author.email == email(name))

    def names(self, *of):
        return [author.name for author in Author.select().where(
            Author.email << [email(name) for name in of]).order_by(Author.email)]

    def crud(self):
        self.write('Ann')
        self.write('Bob')
        ann = self.find('Ann')
        answer = [ann.name]
        ann.name = 'Anna'
        ann.save()
        answer += [self.find('Ann').name, ann.delete_instance(), self.find('Ann')]
        gone = Author.email == email('Ann')
        answer += [Author.update(name='nobody').where(gone).execute(),
                   Author.delete().where(gone).execute()]
        self.write('Ann')
        answer.append(refused('unique', peewee.IntegrityError, self.write, 'Ann'))
        return answer + [self.names('Ann', 'Bob')]

    def relations(self):
        cyd = self.write('Cyd', 'ABC')
        every = [cyd.id, self.write('Dan', 'D').id, self.write('Eve').id]
        Book.get(Book.title == 'B').delete_instance()
        authors = Author.select().where(Author.id << every).order_by(Author.id)
        joined = {}
        for name, title in (authors.select(Author.name, Book.title)
                            .join(Book, peewee.JOIN.LEFT_OUTER)
                            .order_by(Author.id, Book.id).tuples()):
            joined.setdefault(name, []).extend([title] if title else [])
        answer = [
            [list(pair) for pair in joined.items()],
            [[author.name, [book.title for book in author.books]]
             for author in peewee.prefetch(authors, Book.select().order_by(Book.id))],
            [book.title for book in cyd.books.order_by(Book.id)],
            Book.get(Book.title == 'D').author.name]
        cyd.delete_instance()
        answer.append([book.title for book in Book.select().where(Book.author << every)])
        return answer + [refused('foreign key', peewee.IntegrityError, self.db.atomic()(Book.create),
                                 author=cyd.id, title='E', price=1)]

    def bulk_delete(self):
        fay = self.write('Fay', ['F%d' % i for i in range(1, 7)])
        books = Book.select().where(Book.author == fay)
        gone = Book.delete().where(Book.author == fay)
        named = Author.select(Author.id).where(Author.name == 'Fay')
        return [
            gone.where(Book.price > 4).execute(), gone.where(Book.price > 4).execute(),
            Book.update(price=Book.price * 10).where(
                Book.author == fay, Book.price >= 3).execute(),
            Book.delete().where(Book.author << named, Book.price < 3).execute(),
            books.count(), gone.execute(), books.count()]

    def transactions(self):
        gus = self.write('Gus', ['G1', 'G2', 'G3'])
        books = Book.select().where(Book.author == gus)
        gone = Book.delete().where(Book.author == gus)
        answer = []

        def undone(*outside):
            with self.db.atomic():
                gone.execute()
                answer.append(books.count())
                answer.extend(books.count(other) for other in outside)
                raise play.Undone

        refused('undone', play.Undone, undone, self.other)
        answer.append(books.count())
        with self.db.atomic():
            gone.where(Book.title == 'G1').execute()
            refused('undone', play.Undone, undone)
            answer.append(books.count())
        answer.append(books.count())
        with self.db.atomic():
            answer.append(refused('unique', peewee.IntegrityError, self.write, 'Gus'))
            gone.where(Book.title == 'G2').execute()
        return answer + [books.count()]

    def lock(self):
        self.write('Hal')

        def save(author, name):
            return 'saved' if Author.update(
                name=name, version=Author.version + 1).where(
                    Author.id == author.id,
                    Author.version == author.version).execute() else 'stale'

        mine, theirs = self.find('Hal'), self.find('Hal')
        answer = [save(theirs, 'theirs'), save(mine, 'mine')]
        mine = self.find('Hal')
        return answer + [mine.name, save(mine, 'mine'), self.find('Hal').name]

    def upsert(self):
        def merge(*rows):
            Author.insert_many([{'email': email(key), 'name': name} for key, name in rows]).on_conflict(
                conflict_target=[Author.email], preserve=[Author.name]).execute()

        answer = []
        for name in ('Ivy', 'Ivy 2'):
            merge(('Ivy', name))
            answer.append(self.find('Ivy').name)
        self.find('Ivy').delete_instance()
        merge(('Ivy', 'Ivy 3'))
        answer.append(self.find('Ivy').name)
        Author.insert(email=email('Ivy'), name='nobody').on_conflict_ignore().execute()
        answer.append(self.find('Ivy').name)
        merge(('Ivy', 'Ivy 4'), ('Jan', 'Jan'))
        return answer + [self.names('Ivy', 'Jan')]

    def pages(self):
        kim = self.write('Kim', play.TWELVE)
        books = kim.books.order_by(Book.title)
        Book.delete().where(Book.author == kim, Book.title << ['P03', 'P07']).execute()
        keyset, last = [], ''
        while True:
            page = [book.title for book in books.where(Book.title > last).limit(4)]
            if not page:
                break
            keyset.append(page)
            last = page[-1]
        offset = [[book.title for book in books.paginate(number, 4)] for number in (1, 2, 3)]
        return [offset, books.count(), keyset]

    def clear(self):
        Book.delete().execute()
        Author.delete().execute()

    def find_lea(self):
        lea = self.find('Lea')
        return lea and lea.name

    def remove_lea(self):
        Author.delete().where(Author.email == email('Lea')).execute()

    def create_lea(self):
        self.write('Lea')


if __name__ == '__main__':
    play.main(Peewee)
