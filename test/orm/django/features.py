"""Django: models that know of no soft deletion, migrations, versions by expressions."""

import os
import sys

import django
from django.apps import AppConfig
from django.conf import settings

import play
from play import NOT_PREPARED, email, refused


def alias(database, pooled):
    return database + ('_pooled' if pooled else '')


def databases():
    for name in sys.argv[1:]:
        for pooled in (False, True):
            for other in ('', '_other'):
                yield alias(name, pooled) + other, {
                    'ENGINE': 'django.db.backends.postgresql', 'NAME': name,
                    'PORT': os.environ.get('ORM_EXT_POOLER_PORT', '')
                    if pooled else os.environ['PGPORT'],
                    # As its manual says of pools by transaction.
                    'DISABLE_SERVER_SIDE_CURSORS': pooled}


class Library(AppConfig):
    """An application in one file."""

    name = '__main__'
    label = 'library'
    path = os.path.dirname(os.path.abspath(__file__))


settings.configure(
    DATABASES={'default': {}, **dict(databases())},
    DEFAULT_AUTO_FIELD='django.db.models.AutoField',
    INSTALLED_APPS=['__main__.Library'], USE_TZ=True, TIME_ZONE='UTC')
django.setup()

from django.core.paginator import Paginator  # noqa
from django.db import IntegrityError, connections, migrations, models, transaction  # noqa
from django.db.migrations.state import ProjectState  # noqa
from django.db.models import F, Prefetch  # noqa


class Author(models.Model):
    email = models.EmailField(unique=True)
    name = models.TextField()
    version = models.IntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        app_label = 'library'
        db_table = 'authors'


class Book(models.Model):
    author = models.ForeignKey(Author, models.CASCADE, related_name='books')
    title = models.TextField()
    price = models.IntegerField()

    class Meta:
        app_label = 'library'
        db_table = 'books'


def key():
    return 'id', models.AutoField(primary_key=True)


class Tables(migrations.Migration):
    """As makemigrations writes it, with the markers."""

    initial = True
    operations = [
        migrations.CreateModel('Author', [
            key(), ('email', models.EmailField(max_length=254, unique=True)),
            ('name', models.TextField()),
            ('version', models.IntegerField(default=1)),
            ('created_at', models.DateTimeField(auto_now_add=True)),
            ('updated_at', models.DateTimeField(auto_now=True)),
            ('deleted_at', models.DateTimeField(null=True))],
            options={'db_table': 'authors'}),
        migrations.CreateModel('Book', [
            key(), ('title', models.TextField()),
            ('price', models.IntegerField()),
            ('deleted_at', models.DateTimeField(null=True)),
            ('author', models.ForeignKey(
                'library.Author', models.CASCADE, related_name='books'))],
            options={'db_table': 'books'})]


class Pages(migrations.Migration):
    operations = [migrations.AddField(
        'Book', 'pages', models.IntegerField(null=True))]


class Django(play.Client):

    packages = ('django',)
    notes = {
        'lock': 'By `filter(version=…).update(version=F(\'version\') + 1)` and the count.',
        'upsert': '`update_or_create()`; `bulk_create(update_conflicts=True)` where Django has it, from 4.1 on.',
        'pgbouncer': NOT_PREPARED}

    def __init__(self, database, port, prepare):
        self.db = alias(database, port != os.environ['PGPORT'])
        self.other = self.db + '_other'
        self.authors = Author.objects.using(self.db)
        self.books = Book.objects.using(self.db)

    def close(self):
        connections[self.db].close()
        connections[self.other].close()

    def schema(self):
        """Up, down and up again."""
        states = []
        pair = [Tables('0001_initial', 'library'),
                Pages('0002_pages', 'library')]

        def up(step, state):
            with connections[self.db].schema_editor() as editor:
                return step.apply(state, editor)

        def down(step, state):
            with connections[self.db].schema_editor() as editor:
                return step.unapply(state, editor)

        def tell():
            connection = connections[self.db]
            states.append(sorted(connection.introspection.table_names()))

        empty = ProjectState()
        first = up(pair[0], empty.clone())
        up(pair[1], first.clone())
        tell()
        down(pair[1], first.clone())
        down(pair[0], empty.clone())
        tell()
        up(pair[1], up(pair[0], empty.clone()))
        tell()
        return states

    def write(self, name, titles=()):
        with transaction.atomic(self.db):
            author = self.authors.create(email=email(name), name=name)
            self.books.bulk_create(
                Book(author=author, title=title, price=price)
                for price, title in enumerate(titles, 1))
        return author

    def find(self, name):
        return self.authors.filter(email=email(name)).first()

    def names(self, *of):
        return list(self.authors.filter(email__in=[email(name) for name in of])
                    .order_by('email').values_list('name', flat=True))

    def crud(self):
        self.write('Ann')
        self.write('Bob')
        ann = self.authors.get(email=email('Ann'))
        answer = [ann.name]
        ann.name = 'Anna'
        ann.save()
        answer += [self.find('Ann').name, ann.delete()[0], self.find('Ann')]
        gone = self.authors.filter(email=email('Ann'))
        answer += [gone.update(name='nobody'), gone.delete()[0]]
        self.write('Ann')
        answer.append(refused('unique', IntegrityError, self.write, 'Ann'))
        return answer + [self.names('Ann', 'Bob')]

    def relations(self):
        cyd = self.write('Cyd', 'ABC')
        every = [cyd, self.write('Dan', 'D'), self.write('Eve')]
        self.books.get(title='B').delete()
        in_order = Book.objects.order_by('id')
        authors = self.authors.filter(pk__in=[one.pk for one in every])
        joined = {}
        for name, title in authors.order_by('id', 'books__id').values_list(
                'name', 'books__title'):
            joined.setdefault(name, []).extend([title] if title else [])
        answer = [
            [list(pair) for pair in joined.items()],
            [[author.name, [book.title for book in author.books.all()]]
             for author in authors.order_by('id').prefetch_related(
                 Prefetch('books', in_order))],
            [book.title for book in cyd.books.order_by('title')],
            self.books.select_related('author').get(title='D').author.name]
        cyd_key = cyd.pk
        cyd.delete()
        answer.append([book.title for book in self.books.filter(
            author__in=[one.pk for one in every if one.pk])])
        return answer + [refused('foreign key', IntegrityError,
                                 self.books.create, author_id=cyd_key,
                                 title='E', price=1)]

    def bulk_delete(self):
        fay = self.write('Fay', ['F%d' % i for i in range(1, 7)])
        books = self.books.filter(author=fay)
        return [
            books.filter(price__gt=4).delete()[0],
            books.filter(price__gt=4).delete()[0],
            books.filter(price__gte=3).update(price=F('price') * 10),
            self.books.filter(author__name='Fay', price__lt=3).delete()[0],
            books.count(), books.delete()[0], books.count()]

    def transactions(self):
        gus = self.write('Gus', ['G1', 'G2', 'G3'])
        books = self.books.filter(author=gus)
        answer = []

        def undone(*outside):
            with transaction.atomic(self.db):
                books.delete()
                answer.append(books.count())
                answer.extend(other.count() for other in outside)
                raise play.Undone

        refused('undone', play.Undone, undone, books.using(self.other))
        answer.append(books.count())
        with transaction.atomic(self.db):
            books.filter(title='G1').delete()
            refused('undone', play.Undone, undone)
            answer.append(books.count())
        answer.append(books.count())
        with transaction.atomic(self.db):
            answer.append(refused('unique', IntegrityError, self.write, 'Gus'))
            books.filter(title='G2').delete()
        return answer + [books.count()]

    def lock(self):
        self.write('Hal')

        def save(author, name):
            return 'saved' if self.authors.filter(
                pk=author.pk, version=author.version).update(
                    version=F('version') + 1, name=name) else 'stale'

        mine, theirs = self.find('Hal'), self.find('Hal')
        answer = [save(theirs, 'theirs'), save(mine, 'mine')]
        mine.refresh_from_db()
        return answer + [mine.name, save(mine, 'mine'), self.find('Hal').name]

    def upsert(self):
        def merge(key, name):
            return self.authors.update_or_create(
                email=email(key), defaults={'name': name})

        answer = []
        for name in ('Ivy', 'Ivy 2'):
            merge('Ivy', name)
            answer.append(self.find('Ivy').name)
        self.find('Ivy').delete()
        merge('Ivy', 'Ivy 3')
        answer.append(self.find('Ivy').name)
        self.authors.bulk_create(
            [Author(email=email('Ivy'), name='nobody')], ignore_conflicts=True)
        answer.append(self.find('Ivy').name)
        rows = (('Ivy', 'Ivy 4'), ('Jan', 'Jan'))
        if django.VERSION >= (4, 1):
            self.authors.bulk_create(
                [Author(email=email(key), name=name) for key, name in rows],
                update_conflicts=True, unique_fields=['email'],
                update_fields=['name'])
        else:
            for row in rows:
                merge(*row)
        return answer + [self.names('Ivy', 'Jan')]

    def pages(self):
        kim = self.write('Kim', play.TWELVE)
        books = self.books.filter(author=kim).order_by('title')
        books.filter(title__in=['P03', 'P07']).delete()
        titles = books.values_list('title', flat=True)
        paginator = Paginator(titles, 4)
        keyset, last = [], ''
        while True:
            page = list(titles.filter(title__gt=last)[:4])
            if not page:
                break
            keyset.append(page)
            last = page[-1]
        return [[list(page) for page in paginator], paginator.count, keyset]

    def clear(self):
        self.books.all().delete()
        self.authors.all().delete()

    def find_lea(self):
        lea = self.find('Lea')
        return lea and lea.name

    def remove_lea(self):
        self.authors.filter(email=email('Lea')).delete()

    def create_lea(self):
        self.write('Lea')


if __name__ == '__main__':
    play.main(Django)
