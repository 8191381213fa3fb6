"""psycopg2 and its successor: bulk_upsert(), and COPY that upserts.

Loaded only where the driver is psycopg2.
"""

import csv
import io
import json
import unittest
from decimal import Decimal

import psycopg2
from psycopg2.extras import Json, RealDictCursor, execute_values

from products import ProductsTestCase

try:
    import psycopg
    from psycopg.types.json import Json as Json3, Jsonb
except ImportError:
    psycopg = None
    print('# left out: psycopg, the successor of psycopg2')

COLUMNS = ('sku', 'name', 'price', 'stock')
ROWS = [('pot', 'Pot', Decimal('21.50'), 3),
        ('mug', 'Mug', Decimal('4.00'), 0),
        ('cup', 'Cup', Decimal('5.00'), 10),
        ('jug', 'Jug; 1 l, "50%"\t\\N', Decimal('9.99'), 7)]
DICTS = [dict(zip(COLUMNS, (sku, name, float(price), stock)))
         for sku, name, price, stock in ROWS]

OWN_UPSERT = ('INSERT INTO twins (sku, name, price, stock) VALUES %s'
              ' ON CONFLICT (sku) DO UPDATE SET name = excluded.name,'
              ' price = excluded.price, stock = excluded.stock')
COPY = ('COPY products (sku, name, price, stock) FROM STDIN WITH (%s,'
        " on_conflict 'update', conflict_columns (sku))")


class DriverTestCase(ProductsTestCase):
    """With a connection that is open from the start of each test."""

    def connect(self, **options):
        connection = psycopg2.connect(dbname=self.db.name, **options)
        self.addCleanup(connection.close)
        return connection

    def setUp(self):
        super().setUp()
        self.connection = self.connect()
        self.cursor = self.connection.cursor()

    def counts(self, cursor=None):
        """Inserted, updated, unchanged and skipped by the last bulk upsert."""
        cursor = cursor or self.cursor
        cursor.execute('SELECT inserted, updated, unchanged, skipped'
                       '  FROM orm_ext.last_bulk_result()')
        return cursor.fetchone()

    def own_upsert(self, rows=ROWS):
        execute_values(self.cursor, OWN_UPSERT, rows)
        self.connection.commit()

    def fails(self, code, work, *parts):
        with self.assertRaises(psycopg2.Error) as caught:
            work()
        self.connection.rollback()
        self.assertEqual(caught.exception.pgcode, code)
        for part in parts:
            self.assertIn(part, str(caught.exception))


def as_csv(rows, **dialect):
    file = io.StringIO(newline='')
    csv.writer(file, **dialect).writerows(rows)
    file.seek(0)
    return file


class BulkUpsertTest(DriverTestCase):

    def test_list_of_dicts(self):
        """The driver writes literals into the statement, without types."""
        self.cursor.execute(
            "SELECT * FROM orm_ext.bulk_upsert('products', %s, %s)",
            (Json(DICTS), ['sku']))
        self.assertEqual(self.cursor.fetchone(), (2, 1, 1, 0))
        self.own_upsert()

    def test_text(self):
        self.cursor.execute(
            'SELECT * FROM orm_ext.bulk_upsert(%s, %s, conflict => %s)',
            ('public.products', json.dumps(DICTS), ['sku']))
        self.assertEqual(self.cursor.fetchone(), (2, 1, 1, 0))
        self.own_upsert()

    def test_one_dict(self):
        for row, counts in zip(DICTS, [(0, 1, 0, 0), (1, 0, 0, 0),
                                       (0, 0, 1, 0), (1, 0, 0, 0)]):
            self.cursor.execute(
                "SELECT * FROM orm_ext.bulk_upsert('products', %s, '{sku}')",
                (Json(row),))
            self.assertEqual(self.cursor.fetchone(), counts)
        self.own_upsert()

    def test_executemany(self):
        self.cursor.executemany(
            "SELECT orm_ext.bulk_upsert('products', %s, '{sku}')",
            [(Json(DICTS[:2]),), (Json(DICTS[2:]),)])
        self.own_upsert()

    def test_array_of_rows(self):
        """Every column is supplied, in the order of the table."""
        self.cursor.execute(
            'SELECT * FROM orm_ext.bulk_upsert(ARRAY(SELECT t FROM products t'
            "  WHERE sku = 'cup') || %s::products, ARRAY['sku'])",
            ((None, 'mug', 'Mug', 3, 2) + (None,) * 8,))
        self.assertEqual(self.cursor.fetchone(), (1, 0, 1, 0))
        self.own_upsert([('mug', 'Mug', 3, 2)])

    def test_returning(self):
        with self.connection.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute(
                'SELECT ordinal, action, (result).*'
                '  FROM orm_ext.bulk_upsert_returning(NULL::products, %s, %s)',
                (Json(DICTS), ['sku']))
            rows = cursor.fetchall()
        self.assertEqual(
            [(row['ordinal'], row['action'], row['sku']) for row in rows],
            [(1, 'updated', 'pot'), (2, 'inserted', 'mug'),
             (3, 'unchanged', 'cup'), (4, 'inserted', 'jug')])
        self.assertEqual((rows[2]['id'], rows[2]['tags']),
                         (1, ['tea', 'blue']))
        self.own_upsert()

    def test_a_list_that_is_no_json(self):
        """psycopg2 makes an array of a list of strings."""
        self.fails('42804', lambda: self.cursor.execute(
            "SELECT orm_ext.bulk_upsert('products', %s)", (['a', 'b'],)))
        with self.assertRaisesRegex(psycopg2.Error, 'dict'):
            self.cursor.execute(
                "SELECT orm_ext.bulk_upsert('products', %s)", (DICTS,))
        self.connection.rollback()


class CopyTest(DriverTestCase):

    def copied(self, statement, file, counts=(2, 1, 1, 0)):
        self.cursor.copy_expert(statement, file)
        self.assertEqual(self.cursor.rowcount, sum(counts))
        self.assertEqual(self.counts(), counts)

    def test_csv(self):
        self.copied(COPY % 'FORMAT csv', as_csv(ROWS))
        self.own_upsert()

    def test_csv_of_another_dialect(self):
        self.copied(COPY % "FORMAT csv, DELIMITER '|', QUOTE '''', HEADER",
                    as_csv([COLUMNS] + ROWS, delimiter='|', quotechar="'",
                           lineterminator='\n'))
        self.own_upsert()

    def test_text(self):
        lines = ''.join(
            '\t'.join(str(value).replace('\\', '\\\\').replace('\t', '\\t')
                      for value in row) + '\n' for row in ROWS)
        self.copied(COPY % 'FORMAT text', io.StringIO(lines))
        self.own_upsert()

    def test_binary(self):
        """As this very server writes it."""
        rows = io.BytesIO()
        self.own_upsert()
        self.cursor.copy_expert(
            'COPY (SELECT sku, name, price, stock FROM twins) TO STDOUT'
            ' (FORMAT binary)', rows)
        rows.seek(0)
        self.copied(COPY % 'FORMAT binary', rows, (2, 1, 3, 0))
        self.connection.commit()

    def test_null_is_not_empty(self):
        statement = ('COPY products (sku, note, tags) FROM STDIN WITH'
                     " (FORMAT csv, on_conflict 'update',"
                     " conflict_columns 'sku')")
        self.copied(statement, io.StringIO('cup,,\npan,"","{}"\n'),
                    (0, 2, 0, 0))
        self.cursor.execute(
            "UPDATE twins SET note = NULL, tags = NULL WHERE sku = 'cup';"
            "UPDATE twins SET note = '', tags = '{}' WHERE sku = 'pan'")
        self.connection.commit()

    def test_update_columns_and_nothing(self):
        self.copied("COPY products (sku, name, price, stock) FROM STDIN WITH"
                    " (FORMAT csv, conflict_columns (sku),"
                    ' update_columns (stock, price))',
                    as_csv(ROWS + [('lid', 'Other lid', 1, 9)]), (2, 2, 1, 0))
        self.copied("COPY products (sku, name) FROM STDIN WITH (FORMAT csv,"
                    " on_conflict 'nothing', conflict_columns (sku))",
                    io.StringIO('lid,x\nbox,Box\n'), (1, 0, 0, 1))
        self.own_upsert(ROWS + [('lid', 'Lid', 1, 9), ('box', 'Box', 1, 0)])

    def test_where(self):
        """The tag counts what was not filtered out."""
        self.copied(COPY % 'FORMAT csv' + ' WHERE stock > 0', as_csv(ROWS),
                    (1, 1, 1, 0))
        self.own_upsert([row for row in ROWS if row[3] > 0])

    def test_duplicates(self):
        rows = io.StringIO('mug,one,1,1\ncup,Cup,5,10\nmug,two,2,2\n')
        self.copied(COPY % 'FORMAT csv', rows, (1, 0, 1, 1))
        self.connection.rollback()
        rows.seek(0)
        self.fails('21000', lambda: self.cursor.copy_expert(
            COPY % "FORMAT csv, on_duplicate 'error'", rows), 'mug')
        rows.seek(0)
        self.copied(COPY % "FORMAT csv, on_duplicate 'first'", rows,
                    (1, 0, 1, 1))
        self.own_upsert([('mug', 'one', 1, 1)])

    def test_a_bad_line(self):
        self.fails('22P02', lambda: self.cursor.copy_expert(
            COPY % 'FORMAT csv', io.StringIO('mug,Mug,1,1\nx,X,abc,1\n')),
            'COPY products, line 2, column price: "abc"')
        self.fails('23514', lambda: self.cursor.copy_expert(
            COPY % 'FORMAT csv', io.StringIO('mug,Mug,1,1\nx,X,-1,1\n')),
            'row 2')
        self.fails('22P04', lambda: self.cursor.copy_expert(
            COPY % 'FORMAT csv', io.StringIO('mug,Mug,1,1\nx\n')), 'line 2')
        self.copied(COPY % 'FORMAT csv', as_csv(ROWS))
        self.own_upsert()

    def test_a_client_that_gives_up(self):
        class Broken(io.StringIO):
            def read(self, size=-1):
                raise OSError('the file is gone')

        with self.assertRaisesRegex(
                (OSError, psycopg2.Error), 'the file is gone|error in .read'):
            self.cursor.copy_expert(COPY % 'FORMAT csv', Broken())
        self.connection.rollback()
        self.copied(COPY % 'FORMAT csv', as_csv(ROWS))
        self.own_upsert()

    def test_many_rows(self):
        """More than one message, and a second time nothing to do."""
        rows = [('item %05d' % (i * 7919 % 20000), 'Item', i % 100, i)
                for i in range(20000)]
        self.copied(COPY % 'FORMAT csv', as_csv(rows), (20000, 0, 0, 0))
        self.copied(COPY % 'FORMAT csv', as_csv(rows), (0, 0, 20000, 0))
        self.copied(COPY % 'FORMAT csv', as_csv(
            [row[:3] + (-1,) if i % 4 == 0 else row
             for i, row in enumerate(rows)]), (0, 5000, 15000, 0))
        execute_values(self.cursor, OWN_UPSERT, [
            row[:3] + (-1,) if i % 4 == 0 else row
            for i, row in enumerate(rows)], page_size=1000)
        self.connection.commit()


class SettingTest(DriverTestCase):
    """Clients that write the COPY themselves."""

    BY_ID = [(2, 'pot', 'Pot', Decimal('21.50'), 3),
             (50, 'mug', 'Mug', Decimal('4.00'), 0),
             (1, 'cup', 'Cup', Decimal('5.00'), 10)]

    def copy_from(self, cursor):
        cursor.copy_from(
            as_csv(self.BY_ID, delimiter='\t', lineterminator='\n'),
            'products', columns=('id',) + COLUMNS)

    def test_copy_from(self):
        self.cursor.execute("SET LOCAL orm_ext.copy_on_conflict = 'update'")
        self.copy_from(self.cursor)
        self.assertEqual(self.cursor.rowcount, 3)
        self.assertEqual(self.counts(), (1, 1, 1, 0))
        self.own_upsert([row[1:] for row in self.BY_ID])
        # It is over with the transaction.
        self.fails('23505', lambda: self.copy_from(self.cursor))

    def test_nothing(self):
        self.cursor.execute("SET LOCAL orm_ext.copy_on_conflict = 'nothing'")
        self.copy_from(self.cursor)
        self.assertEqual(self.counts(), (1, 0, 0, 2))
        self.own_upsert([self.BY_ID[1][1:]])

    def test_of_the_connection(self):
        cursor = self.connect(
            options='-c orm_ext.copy_on_conflict=update').cursor()
        self.copy_from(cursor)
        cursor.connection.commit()
        self.assertEqual(self.counts(cursor), (1, 1, 1, 0))
        self.own_upsert([row[1:] for row in self.BY_ID])

    def test_pandas_recipe(self):
        """What its manual gives for DataFrame.to_sql(method=…)."""
        def psql_insert_copy(table, connection, keys, data_iter):
            with connection.cursor() as cursor:
                columns = ', '.join('"{}"'.format(key) for key in keys)
                cursor.copy_expert('COPY {} ({}) FROM STDIN WITH CSV'.format(
                    table, columns), as_csv(data_iter))

        self.cursor.execute("SET orm_ext.copy_on_conflict = 'update'")
        psql_insert_copy('products', self.connection, ('id',) + COLUMNS,
                         self.BY_ID)
        self.assertEqual(self.counts(), (1, 1, 1, 0))
        self.own_upsert([row[1:] for row in self.BY_ID])

    def test_statements_of_other_drivers(self):
        """As pgx, activerecord-copy, older gems and PDO have them."""
        self.own_upsert([row[1:] for row in self.BY_ID])
        for statement, options in (
                ('copy "products" ( "id", "sku", "name", "price", "stock" )'
                 ' from stdin binary;', '(FORMAT binary)'),
                ('COPY products ("id","sku","name","price","stock")'
                 ' FROM STDIN BINARY', '(FORMAT binary)'),
                ('COPY "public"."products" ("id","sku","name","price",'
                 '"stock") FROM STDIN WITH CSV', '(FORMAT csv)'),
                ("COPY products (id, sku, name, price, stock) FROM STDIN"
                 " WITH DELIMITER E'\t' NULL AS E'\\\\N'", '')):
            rows = io.BytesIO()
            self.cursor.copy_expert(
                "COPY (SELECT CASE sku WHEN 'mug' THEN 50 ELSE id END, sku,"
                " name, price, stock FROM twins WHERE sku IN ('pot', 'mug',"
                " 'cup')) TO STDOUT " + options, rows)
            for setting, counts in ('update', (1, 1, 1, 0)), (
                    'update', (0, 0, 3, 0)), ('nothing', (0, 0, 0, 3)):
                rows.seek(0)
                self.cursor.execute(
                    'SET orm_ext.copy_on_conflict = ' + setting)
                self.cursor.copy_expert(statement, rows)
                self.assertEqual(self.counts(), counts)
            self.connection.rollback()
        self.cursor.execute("SET orm_ext.copy_on_conflict = 'update'")
        self.copy_from(self.cursor)
        self.connection.commit()

    def test_another_key(self):
        self.cursor.execute("SET orm_ext.copy_on_conflict = 'update';"
                            " SET orm_ext.copy_conflict_columns = 'sku'")
        self.cursor.copy_from(
            as_csv(ROWS[:3], delimiter='\t', lineterminator='\n'),
            'products', columns=COLUMNS)
        self.assertEqual(self.counts(), (1, 1, 1, 0))
        self.own_upsert(ROWS[:3])

    def test_options_win(self):
        self.cursor.execute("SET orm_ext.copy_on_conflict = 'nothing'")
        self.cursor.copy_expert(COPY % 'FORMAT csv', as_csv(ROWS))
        self.assertEqual(self.counts(), (2, 1, 1, 0))
        self.own_upsert()

    def test_copy_to_is_left_alone(self):
        self.cursor.execute("SET orm_ext.copy_on_conflict = 'update'")
        out = io.StringIO()
        self.cursor.copy_to(out, 'products', columns=('sku',))
        self.assertEqual(out.getvalue(), 'cup\npot\npan\nlid\n')
        self.connection.rollback()

    def test_off(self):
        """A COPY without options is PostgreSQL's own."""
        self.fails('23505', lambda: self.copy_from(self.cursor),
                   'CONTEXT:  COPY products, line 1')


@unittest.skipIf(psycopg is None, 'psycopg is not there')
class SuccessorTest(DriverTestCase):
    """psycopg 3 sends parameters by themselves, with their types."""

    def setUp(self):
        super().setUp()
        self.successor = psycopg.connect(dbname=self.db.name)
        self.addCleanup(self.successor.close)

    def test_parameters(self):
        for rows in Jsonb(DICTS), json.dumps(DICTS), Json3(DICTS):
            counts = self.successor.execute(
                "SELECT * FROM orm_ext.bulk_upsert('products', %s, %s)",
                (rows, ['sku'])).fetchone()
            self.assertEqual(counts, (2, 1, 1, 0))
            self.successor.rollback()

    def test_returning(self):
        for rows in Jsonb(DICTS), json.dumps(DICTS), Json3(DICTS):
            answer = self.successor.execute(
                'SELECT action, (result).sku'
                '  FROM orm_ext.bulk_upsert_returning(NULL::products, %s, %s)',
                (rows, ['sku'])).fetchall()
            self.assertEqual(answer, [
                ('updated', 'pot'), ('inserted', 'mug'), ('unchanged', 'cup'),
                ('inserted', 'jug')])
            self.successor.rollback()

    def test_copy_of_values(self):
        for how in 'text', 'binary':
            with self.successor.cursor() as cursor:
                with cursor.copy(COPY % ('FORMAT ' + how)) as copy:
                    copy.set_types(['text', 'text', 'numeric', 'int4'])
                    for row in ROWS:
                        copy.write_row(row)
                self.assertEqual(cursor.rowcount, 4)
                self.assertEqual(self.counts(cursor), (2, 1, 1, 0))
            if how == 'text':
                self.successor.rollback()
        self.successor.commit()
        self.own_upsert()

    def test_a_client_that_gives_up(self):
        # Which of the two it is depends on the version.
        with self.assertRaisesRegex((ValueError, psycopg.Error), 'no more'):
            with self.successor.cursor() as cursor:
                with cursor.copy(COPY % 'FORMAT text') as copy:
                    copy.write_row(ROWS[0])
                    raise ValueError('no more')
        self.successor.rollback()

    def test_pipeline(self):
        with self.successor.pipeline():
            results = [self.successor.execute(
                "SELECT * FROM orm_ext.bulk_upsert('products', %s, '{sku}')",
                (Jsonb([row]),)) for row in DICTS]
        self.assertEqual([result.fetchone() for result in results],
                         [(0, 1, 0, 0), (1, 0, 0, 0), (0, 0, 1, 0),
                          (1, 0, 0, 0)])
        self.successor.commit()
        self.own_upsert()
