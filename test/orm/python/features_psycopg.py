"""psycopg2, and psycopg, its successor: ORM_EXT_DRIVER says which; statements by hand."""

import contextlib
import os

import play
from play import (BY_HAND, JOINS, NOT_PREPARED, STATEMENTS, STEPS, email,
                  refused)

SUCCESSOR = os.environ['ORM_EXT_DRIVER'] == 'psycopg'
if SUCCESSOR:
    import psycopg as driver
    from psycopg.errors import ForeignKeyViolation, UniqueViolation
else:
    import psycopg2 as driver
    from psycopg2.errors import ForeignKeyViolation, UniqueViolation
    from psycopg2.extras import execute_values


class Psycopg(play.Client):

    packages = (driver.__name__,)
    notes = {'schema': STATEMENTS, 'relations': JOINS, 'lock': BY_HAND}
    if not SUCCESSOR:
        notes['pgbouncer'] = NOT_PREPARED

    def __init__(self, database, port, prepare):
        self.address = play.address(database, port)
        self.prepare = prepare
        self.one, self.two = self.connect(), self.connect()
        self.two.autocommit = True

    def connect(self):
        connection = driver.connect(**self.address)
        if SUCCESSOR:
            connection.prepare_threshold = 1 if self.prepare else None
        return connection

    def close(self):
        self.one.close()
        self.two.close()

    @contextlib.contextmanager
    def savepoint(self):
        if SUCCESSOR:
            with self.one.transaction():
                yield
            return
        self.execute('SAVEPOINT a')
        try:
            yield
        except Exception:
            self.execute('ROLLBACK TO SAVEPOINT a')
            raise

    def execute(self, statement, *parameters, on=None):
        cursor = (on or self.one).cursor()
        cursor.execute(statement, parameters)
        return cursor

    def rows(self, *query, **options):
        return [list(row) for row in self.execute(*query, **options)]

    def values(self, *query, **options):
        return [row[0] for row in self.rows(*query, **options)]

    def changed(self, *query):
        return self.execute(*query).rowcount

    def schema(self):
        tags = [self.execute(step).statusmessage
                for step in STEPS + ('DROP TABLE books, authors',) + STEPS]
        self.one.commit()
        return tags

    def name(self, of):
        names = self.values('SELECT name FROM authors WHERE email = %s',
                            email(of))
        return names[0] if names else None

    def names(self, *of):
        return self.values('SELECT name FROM authors WHERE email = ANY (%s)'
                           ' ORDER BY email', [email(name) for name in of])

    def count(self, author, **options):
        return self.values('SELECT count(*) FROM books WHERE author_id = %s',
                           author, **options)[0]

    def write(self, name, titles=()):
        """In a transaction of its own, by `with`, as the manuals have it."""
        with (self.one.transaction() if SUCCESSOR else self.one):
            return self.insert(name, titles)

    def insert(self, name, titles=()):
        author = self.values('INSERT INTO authors (email, name)'
                             ' VALUES (%s, %s) RETURNING id',
                             email(name), name)[0]
        self.one.cursor().executemany(
            'INSERT INTO books (author_id, title, price) VALUES (%s, %s, %s)',
            [(author, title, price) for price, title in enumerate(titles, 1)])
        return author

    def crud(self):
        self.write('Ann')
        self.write('Bob')
        answer = [self.name('Ann')]
        self.execute("UPDATE authors SET name = 'Anna' WHERE email = %s",
                     email('Ann'))
        answer.append(self.name('Ann'))
        delete = 'DELETE FROM authors WHERE email = %s'
        answer += [self.changed(delete, email('Ann')), self.name('Ann')]
        answer.append(self.changed(
            "UPDATE authors SET name = 'x' WHERE email = %s", email('Ann')))
        answer.append(self.changed(delete, email('Ann')))
        self.one.commit()
        self.write('Ann')
        answer.append(refused('unique', UniqueViolation, self.write, 'Ann'))
        return answer + [self.names('Ann', 'Bob')]

    def relations(self):
        cyd = self.write('Cyd', 'ABC')
        every = [cyd, self.write('Dan', 'D'), self.write('Eve')]
        self.execute("DELETE FROM books WHERE title = 'B'")
        answer = [
            self.rows('''SELECT a.name, array_remove(array_agg(b.title ORDER BY b.id), NULL)
                           FROM authors AS a LEFT JOIN books AS b ON b.author_id = a.id
                          WHERE a.id = ANY (%s) GROUP BY a.id ORDER BY a.id''', every),
            self.rows('''SELECT name, ARRAY(SELECT title FROM books
                                             WHERE author_id = a.id ORDER BY id)
                           FROM authors AS a WHERE id = ANY (%s) ORDER BY id''', every),
            self.values('SELECT title FROM books WHERE author_id = %s'
                        ' ORDER BY title', cyd)]
        answer += self.values('SELECT name FROM authors AS a JOIN books AS b'
                              " ON b.author_id = a.id WHERE title = 'D'")
        self.execute('DELETE FROM authors WHERE id = %s', cyd)
        answer.append(self.values(
            'SELECT title FROM books WHERE author_id = ANY (%s)', every))
        self.one.commit()
        answer.append(refused(
            'foreign key', ForeignKeyViolation, self.execute,
            "INSERT INTO books (author_id, title, price) VALUES (%s, 'E', 1)",
            cyd))
        self.one.rollback()
        return answer

    def bulk_delete(self):
        fay = self.write('Fay', ['F%d' % i for i in range(1, 7)])
        books = 'books WHERE author_id = %s'
        answer = [
            self.changed('DELETE FROM ' + books + ' AND price > 4', fay),
            self.changed('DELETE FROM ' + books + ' AND price > 4', fay),
            self.changed('UPDATE books SET price = price * 10'
                         ' WHERE author_id = %s AND price >= 3', fay),
            self.changed('DELETE FROM books USING authors AS a WHERE'
                         " a.id = author_id AND name = 'Fay' AND price < 3"),
            self.count(fay), self.changed('DELETE FROM ' + books, fay),
            self.count(fay)]
        self.one.commit()
        return answer

    def transactions(self):
        gus = self.write('Gus', ['G1', 'G2', 'G3'])
        delete = 'DELETE FROM books WHERE author_id = %s'
        self.execute(delete, gus)
        answer = [self.count(gus), self.count(gus, on=self.two)]
        self.one.rollback()
        answer.append(self.count(gus))
        self.execute(delete + " AND title = 'G1'", gus)

        def inner():
            with self.savepoint():
                self.execute(delete, gus)
                answer.append(self.count(gus))
                raise play.Undone

        refused('undone', play.Undone, inner)
        answer.append(self.count(gus))
        self.one.commit()
        answer.append(self.count(gus))

        def twice():
            with self.savepoint():
                self.insert('Gus')

        answer.append(refused('unique', UniqueViolation, twice))
        self.execute(delete + " AND title = 'G2'", gus)
        self.one.commit()
        return answer + [self.count(gus, on=self.two)]

    def lock(self):
        self.write('Hal')

        def read():
            return self.rows('SELECT version, name FROM authors'
                             ' WHERE email = %s', email('Hal'))[0]

        def save(row, name):
            changed = self.changed(
                'UPDATE authors SET name = %s, version = version + 1'
                ' WHERE email = %s AND version = %s', name, email('Hal'), row[0])
            self.one.commit()
            return 'saved' if changed else 'stale'

        mine, theirs = read(), read()
        answer = [save(theirs, 'theirs'), save(mine, 'mine')]
        fresh = read()
        return answer + [fresh[1], save(fresh, 'mine'), read()[1]]

    def upsert(self):
        insert = 'INSERT INTO authors (email, name) VALUES (%s, %s)'
        update = ' ON CONFLICT (email) DO UPDATE SET name = excluded.name'
        answer = []
        for name in ('Ivy', 'Ivy 2'):
            self.execute(insert + update, email('Ivy'), name)
            answer.append(self.name('Ivy'))
        self.execute('DELETE FROM authors WHERE email = %s', email('Ivy'))
        self.execute(insert + update, email('Ivy'), 'Ivy 3')
        answer.append(self.name('Ivy'))
        self.execute(insert + ' ON CONFLICT DO NOTHING', email('Ivy'), 'x')
        answer.append(self.name('Ivy'))
        rows = [(email('Ivy'), 'Ivy 4'), (email('Jan'), 'Jan')]
        if SUCCESSOR:
            self.one.cursor().executemany(insert + update, rows)
        else:
            execute_values(self.one.cursor(), 'INSERT INTO authors'
                           ' (email, name) VALUES %s' + update, rows)
        self.one.commit()
        return answer + [self.names('Ivy', 'Jan')]

    def pages(self):
        kim = self.write('Kim', play.TWELVE)
        self.execute('DELETE FROM books WHERE author_id = %s'
                     ' AND title = ANY (%s)', kim, ['P03', 'P07'])
        self.one.commit()
        select = 'SELECT title FROM books WHERE author_id = %s '
        offset = [self.values(select + 'ORDER BY title LIMIT 4 OFFSET %s',
                              kim, start) for start in (0, 4, 8)]
        keyset, last = [], ''
        while True:
            page = self.values(
                select + 'AND title > %s ORDER BY title LIMIT 4', kim, last)
            if not page:
                break
            keyset.append(page)
            last = page[-1]
        return [offset, self.count(kim), keyset]

    def clear(self):
        self.execute('DELETE FROM books')
        self.execute('DELETE FROM authors')
        self.one.commit()

    def find_lea(self):
        with (self.one.transaction() if SUCCESSOR else self.one):
            return self.name('Lea')

    def remove_lea(self):
        self.execute('DELETE FROM authors WHERE email = %s', email('Lea'))
        self.one.commit()

    def create_lea(self):
        self.write('Lea')


if __name__ == '__main__':
    play.main(Psycopg)
