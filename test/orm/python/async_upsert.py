"""asyncpg by itself: binary parameters, binary COPY, prepared statements."""

import asyncio
import json
from decimal import Decimal

import asyncpg

from products import ProductsTestCase

COLUMNS = ('id', 'sku', 'name', 'price', 'stock')
RECORDS = [(2, 'pot', 'Pot', Decimal('21.50'), 3),
           (50, 'mug', 'Mug', Decimal('4.00'), 0),
           (1, 'cup', 'Cup', Decimal('5.00'), 10),
           (51, 'jug', 'Jug', Decimal('9.99'), 7)]
ROWS = [dict(zip(COLUMNS[1:], (sku, name, str(price), stock)))
        for _, sku, name, price, stock in RECORDS]

OWN_UPSERT = ('INSERT INTO twins (id, sku, name, price, stock)'
              ' VALUES ($1, $2, $3, $4, $5) ON CONFLICT (sku) DO UPDATE'
              ' SET name = excluded.name, price = excluded.price,'
              ' stock = excluded.stock')


class AsyncpgTest(ProductsTestCase):

    def play(self, work, **options):
        async def inside():
            connection = await asyncpg.connect(
                database=self.db.name, **options)
            try:
                await work(connection)
            finally:
                await connection.close()
        asyncio.run(asyncio.wait_for(inside(), 60))

    async def own_upsert(self, connection, records=RECORDS):
        await connection.executemany(OWN_UPSERT, records)

    async def counts(self, connection):
        return tuple(await connection.fetchrow(
            'SELECT inserted, updated, unchanged, skipped'
            '  FROM orm_ext.last_bulk_result()'))

    def test_fetchrow(self):
        async def work(connection):
            counts = await connection.fetchrow(
                "SELECT * FROM orm_ext.bulk_upsert('products', $1, $2)",
                json.dumps(ROWS), ['sku'])
            self.assertEqual(dict(counts), {
                'inserted': 2, 'updated': 1, 'unchanged': 1, 'skipped': 0})
            await self.own_upsert(connection)
        self.play(work)

    def test_codec(self):
        """Rows as they are, where the connection knows how to write jsonb."""
        async def work(connection):
            await connection.set_type_codec(
                'jsonb', schema='pg_catalog', encoder=json.dumps,
                decoder=json.loads)
            counts = await connection.fetchrow(
                'SELECT * FROM orm_ext.bulk_upsert('
                "'products'::regclass, $1::jsonb, $2)", ROWS, ['sku'])
            self.assertEqual(tuple(counts), (2, 1, 1, 0))
            await self.own_upsert(connection)
        self.play(work)

    def test_executemany(self):
        """One prepared statement for all batches."""
        async def work(connection):
            await connection.executemany(
                'SELECT orm_ext.bulk_upsert('
                "'products'::regclass, $1::jsonb, ARRAY['sku'])",
                [(json.dumps(ROWS[i:i + 2]),) for i in (0, 2)] * 5)
            self.assertEqual(await self.counts(connection), (0, 0, 2, 0))
            await self.own_upsert(connection)
        self.play(work)

    def test_executemany_is_one_transaction(self):
        async def work(connection):
            with self.assertRaises(asyncpg.CheckViolationError):
                await connection.executemany(
                    "SELECT orm_ext.bulk_upsert('products', $1, '{sku}')",
                    [(json.dumps(ROWS),),
                     ('{"sku": "x", "name": "X", "price": -1}',)])
        self.play(work)

    def test_prepared_with_many_shapes(self):
        async def work(connection):
            upsert = await connection.prepare(
                "SELECT * FROM orm_ext.bulk_upsert('products', $1, '{sku}')")
            for i in range(12):
                keys = list(ROWS[0])[:2 + i % 3]
                counts = await upsert.fetchrow(json.dumps(
                    [{key: row[key] for key in keys} for row in ROWS]))
                self.assertEqual(sum(counts), 4)
            await self.own_upsert(connection)
        self.play(work)

    def test_returning(self):
        async def work(connection):
            rows = await connection.fetch(
                'SELECT ordinal, action, result'
                '  FROM orm_ext.bulk_upsert_returning('
                "NULL::products, $1::jsonb, ARRAY['sku'])", json.dumps(ROWS))
            self.assertEqual(
                [(row['ordinal'], row['action'], row['result']['sku'],
                  row['result']['price']) for row in rows],
                [(1, 'updated', 'pot', Decimal('21.50')),
                 (2, 'inserted', 'mug', Decimal('4.00')),
                 (3, 'unchanged', 'cup', Decimal('5.00')),
                 (4, 'inserted', 'jug', Decimal('9.99'))])
            await self.own_upsert(connection)
        self.play(work)

    def test_returning_through_a_cursor(self):
        """A portal that is fetched in parts: the work is done all the same."""
        async def work(connection):
            async with connection.transaction():
                cursor = await connection.cursor(
                    'SELECT * FROM orm_ext.bulk_upsert_returning('
                    "NULL::products, $1::jsonb, ARRAY['sku'])",
                    json.dumps(ROWS))
                first = await cursor.fetch(1)
                self.assertEqual(first[0]['action'], 'updated')
            await self.own_upsert(connection)
        self.play(work)

    def test_array_of_rows(self):
        """asyncpg sends composite values as they are, in binary."""
        async def work(connection):
            record = await connection.fetchval(
                "SELECT p FROM products p WHERE sku = 'cup'")
            new = (None, 'mug', 'Mug', Decimal('4.00'), 0) + (None,) * 8
            counts = await connection.fetchrow(
                'SELECT * FROM orm_ext.bulk_upsert($1::products[], $2)',
                [tuple(record), new], ['sku'])
            self.assertEqual(tuple(counts), (1, 0, 1, 0))
            await self.own_upsert(connection, RECORDS[1:3])
        self.play(work)

    def test_copy_records_to_table(self):
        async def work(connection):
            async with connection.transaction():
                await connection.execute(
                    "SET LOCAL orm_ext.copy_on_conflict = 'update'")
                tag = await connection.copy_records_to_table(
                    'products', columns=COLUMNS, records=RECORDS)
            self.assertEqual(tag, 'COPY 4')
            self.assertEqual(await self.counts(connection), (2, 1, 1, 0))
            await self.own_upsert(connection)
            with self.assertRaises(asyncpg.UniqueViolationError):
                await connection.copy_records_to_table(
                    'products', columns=COLUMNS, records=RECORDS)
        self.play(work)

    def test_another_key(self):
        async def work(connection):
            async with connection.transaction():
                await connection.execute("""
                    SET LOCAL orm_ext.copy_on_conflict = 'update';
                    SET LOCAL orm_ext.copy_conflict_columns = 'sku'""")
                await connection.copy_records_to_table(
                    'products', columns=COLUMNS[1:],
                    records=[record[1:] for record in RECORDS])
            self.assertEqual(await self.counts(connection), (2, 1, 1, 0))
            await self.own_upsert(connection)
        self.play(work)

    def test_setting_of_the_connection(self):
        async def work(connection):
            async def records():
                for record in RECORDS:
                    yield record

            await connection.copy_records_to_table(
                'products', columns=COLUMNS, records=records())
            self.assertEqual(await self.counts(connection), (2, 0, 0, 2))
            await self.own_upsert(connection, RECORDS[1::2])
        self.play(work, server_settings={
            'orm_ext.copy_on_conflict': 'nothing'})

    def test_copy_to_table(self):
        """From a file object, as csv."""
        async def work(connection):
            async with connection.transaction():
                await connection.execute(
                    "SET LOCAL orm_ext.copy_on_conflict = 'update'")
                tag = await connection.copy_to_table(
                    'products', columns=COLUMNS, format='csv', header=True,
                    source=self.lines([COLUMNS] + RECORDS))
            self.assertEqual(tag, 'COPY 4')
            await self.own_upsert(connection)
        self.play(work)

    @staticmethod
    async def lines(rows):
        for row in rows:
            yield (','.join(map(str, row)) + '\n').encode()

    def test_a_source_that_gives_up(self):
        async def work(connection):
            def records():
                yield RECORDS[0]
                raise OSError('no more')

            async with connection.transaction():
                await connection.execute(
                    "SET LOCAL orm_ext.copy_on_conflict = 'update'")
                with self.assertRaises(OSError):
                    async with connection.transaction():
                        await connection.copy_records_to_table(
                            'products', columns=COLUMNS, records=records())
                await connection.copy_records_to_table(
                    'products', columns=COLUMNS, records=RECORDS)
            await self.own_upsert(connection)
        self.play(work)

    def test_errors(self):
        async def work(connection):
            with self.assertRaises(asyncpg.UndefinedColumnError) as caught:
                await connection.execute(
                    "SELECT orm_ext.bulk_upsert('products', $1, '{sku}')",
                    json.dumps(ROWS + [{'sku': 'x', 'colour': 1}]))
            self.assertIn('colour', str(caught.exception))
            with self.assertRaises(
                    asyncpg.InvalidTextRepresentationError) as caught:
                await connection.execute(
                    "SELECT orm_ext.bulk_upsert('products', $1, '{sku}')",
                    '[{"sku": "x", "name": "X", "stock": "many"}]')
            self.assertIn('row 1', caught.exception.context)
            self.assertIn('stock', caught.exception.context)
        self.play(work)
