"""asyncpg: statements by hand, prepared ones."""

import asyncio
import os

import asyncpg
from asyncpg.exceptions import ForeignKeyViolationError, UniqueViolationError

import play
from play import BY_HAND, JOINS, STATEMENTS, STEPS, email


async def refused(word, error, awaitable):
    try:
        await awaitable
    except error:
        return word
    raise AssertionError('%s was not raised' % error)


class Asyncpg(play.Client):

    packages = ('asyncpg',)
    notes = {'schema': STATEMENTS, 'relations': JOINS, 'lock': BY_HAND}

    def __init__(self, database, port, prepare):
        self.prepare = prepare
        self.loop = asyncio.new_event_loop()
        # Without its cache, asyncpg does not name what it prepares.
        self.pool = self.run(lambda: asyncpg.create_pool(
            host=os.environ['PGHOST'], port=int(port),
            user=os.environ['PGUSER'], database=database, min_size=1,
            statement_cache_size=100 if prepare else 0))

    def run(self, scenario):
        async def inside():
            return await scenario()
        return self.loop.run_until_complete(inside())

    def close(self):
        self.run(self.pool.close)
        self.loop.close()

    async def values(self, *query, on=None):
        return [row[0] for row in await (on or self.pool).fetch(*query)]

    async def rows(self, *query):
        return [list(row) for row in await self.pool.fetch(*query)]

    async def changed(self, *query, on=None):
        """The count from the tag, as execute() returns it."""
        return int((await (on or self.pool).execute(*query)).split()[-1])

    async def schema(self):
        return [await self.pool.execute(step)
                for step in STEPS + ('DROP TABLE books, authors',) + STEPS]

    async def name(self, of):
        return await self.pool.fetchval(
            'SELECT name FROM authors WHERE email = $1', email(of))

    async def names(self, *of):
        return await self.values(
            'SELECT name FROM authors WHERE email = ANY ($1) ORDER BY email',
            [email(name) for name in of])

    async def count(self, author, on=None):
        return await (on or self.pool).fetchval(
            'SELECT count(*) FROM books WHERE author_id = $1', author)

    async def write(self, name, titles=(), on=None):
        author = await (on or self.pool).fetchval(
            'INSERT INTO authors (email, name) VALUES ($1, $2) RETURNING id',
            email(name), name)
        await (on or self.pool).executemany(
            'INSERT INTO books (author_id, title, price) VALUES ($1, $2, $3)',
            [(author, title, price) for price, title in enumerate(titles, 1)])
        return author

    async def crud(self):
        await self.write('Ann')
        await self.write('Bob')
        answer = [await self.name('Ann')]
        update = 'UPDATE authors SET name = $2 WHERE email = $1'
        delete = 'DELETE FROM authors WHERE email = $1'
        await self.pool.execute(update, email('Ann'), 'Anna')
        answer += [await self.name('Ann'),
                   await self.changed(delete, email('Ann')),
                   await self.name('Ann'),
                   await self.changed(update, email('Ann'), 'nobody'),
                   await self.changed(delete, email('Ann'))]
        await self.write('Ann')
        return answer + [
            await refused('unique', UniqueViolationError, self.write('Ann')),
            await self.names('Ann', 'Bob')]

    async def relations(self):
        cyd = await self.write('Cyd', 'ABC')
        every = [cyd, await self.write('Dan', 'D'), await self.write('Eve')]
        await self.pool.execute("DELETE FROM books WHERE title = 'B'")
        answer = [
            await self.rows('''
                SELECT a.name, array_remove(array_agg(b.title ORDER BY b.id), NULL)
                  FROM authors AS a LEFT JOIN books AS b ON b.author_id = a.id
                 WHERE a.id = ANY ($1) GROUP BY a.id ORDER BY a.id''', every),
            await self.rows('''
                SELECT name, ARRAY(SELECT title FROM books WHERE author_id = a.id ORDER BY id)
                  FROM authors AS a WHERE id = ANY ($1) ORDER BY id''', every),
            await self.values('SELECT title FROM books WHERE author_id = $1'
                              ' ORDER BY title', cyd),
            await self.pool.fetchval(
                'SELECT name FROM authors AS a JOIN books AS b'
                " ON b.author_id = a.id WHERE title = 'D'")]
        await self.pool.execute('DELETE FROM authors WHERE id = $1', cyd)
        return answer + [
            await self.values(
                'SELECT title FROM books WHERE author_id = ANY ($1)', every),
            await refused(
                'foreign key', ForeignKeyViolationError, self.pool.execute(
                    'INSERT INTO books (author_id, title, price)'
                    " VALUES ($1, 'E', 1)", cyd))]

    async def bulk_delete(self):
        fay = await self.write('Fay', ['F%d' % i for i in range(1, 7)])
        delete = 'DELETE FROM books WHERE author_id = $1'
        return [
            await self.changed(delete + ' AND price > $2', fay, 4),
            await self.changed(delete + ' AND price > $2', fay, 4),
            await self.changed('UPDATE books SET price = price * 10'
                               ' WHERE author_id = $1 AND price >= 3', fay),
            await self.changed(
                'DELETE FROM books USING authors AS a WHERE a.id = author_id'
                " AND name = 'Fay' AND price < 3"),
            await self.count(fay), await self.changed(delete, fay),
            await self.count(fay)]

    async def transactions(self):
        gus = await self.write('Gus', ['G1', 'G2', 'G3'])
        delete = 'DELETE FROM books WHERE author_id = $1'
        answer = []
        async with self.pool.acquire() as connection:
            async def undone(*outside):
                async with connection.transaction():
                    await connection.execute(delete, gus)
                    answer.append(await self.count(gus, on=connection))
                    answer.extend([await self.count(gus) for _ in outside])
                    raise play.Undone

            await refused('undone', play.Undone, undone(self.pool))
            answer.append(await self.count(gus))
            async with connection.transaction():
                await connection.execute(delete + " AND title = 'G1'", gus)
                await refused('undone', play.Undone, undone())
                answer.append(await self.count(gus, on=connection))
            answer.append(await self.count(gus))

            async def twice():
                async with connection.transaction():
                    await self.write('Gus', on=connection)

            async with connection.transaction():
                answer.append(await refused(
                    'unique', UniqueViolationError, twice()))
                await connection.execute(delete + " AND title = 'G2'", gus)
        return answer + [await self.count(gus)]

    async def lock(self):
        await self.write('Hal')

        async def read():
            return await self.pool.fetchrow(
                'SELECT version, name FROM authors WHERE email = $1',
                email('Hal'))

        async def save(row, name):
            return 'saved' if await self.changed(
                'UPDATE authors SET name = $1, version = version + 1'
                ' WHERE email = $2 AND version = $3', name, email('Hal'),
                row['version']) else 'stale'

        mine, theirs = await read(), await read()
        answer = [await save(theirs, 'theirs'), await save(mine, 'mine')]
        fresh = await read()
        return answer + [fresh['name'], await save(fresh, 'mine'),
                         await self.name('Hal')]

    async def upsert(self):
        insert = 'INSERT INTO authors (email, name) VALUES ($1, $2)'
        update = ' ON CONFLICT (email) DO UPDATE SET name = excluded.name'
        answer = []
        for name in ('Ivy', 'Ivy 2'):
            await self.pool.execute(insert + update, email('Ivy'), name)
            answer.append(await self.name('Ivy'))
        await self.pool.execute('DELETE FROM authors WHERE email = $1',
                                email('Ivy'))
        await self.pool.execute(insert + update, email('Ivy'), 'Ivy 3')
        answer.append(await self.name('Ivy'))
        await self.pool.execute(insert + ' ON CONFLICT DO NOTHING',
                                email('Ivy'), 'nobody')
        answer.append(await self.name('Ivy'))
        await self.pool.executemany(insert + update, [
            (email('Ivy'), 'Ivy 4'), (email('Jan'), 'Jan')])
        return answer + [await self.names('Ivy', 'Jan')]

    async def pages(self):
        kim = await self.write('Kim', play.TWELVE)
        await self.pool.execute('DELETE FROM books WHERE author_id = $1'
                                ' AND title = ANY ($2)', kim, ['P03', 'P07'])
        select = 'SELECT title FROM books WHERE author_id = $1 '
        offset = [await self.values(
            select + 'ORDER BY title LIMIT 4 OFFSET $2', kim, start)
            for start in (0, 4, 8)]
        keyset, last = [], ''
        while True:
            page = await self.values(
                select + 'AND title > $2 ORDER BY title LIMIT 4', kim, last)
            if not page:
                return [offset, await self.count(kim), keyset]
            keyset.append(page)
            last = page[-1]

    async def clear(self):
        await self.pool.execute('DELETE FROM books; DELETE FROM authors')

    async def find_lea(self):
        return await self.name('Lea')

    async def remove_lea(self):
        await self.pool.execute('DELETE FROM authors WHERE email = $1',
                                email('Lea'))

    async def create_lea(self):
        await self.write('Lea')


if __name__ == '__main__':
    play.main(Asyncpg)
