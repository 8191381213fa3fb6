"""Django: bulk_upsert(), next to bulk_create() and update_or_create().

Works in django_managed, with the tables of ../products.sql: what the one
leaves in products and the other in twins must be equal.
"""

import io
import json
import os
import subprocess
import sys
import unittest
from datetime import date, datetime, timezone
from decimal import Decimal

import django
from django.conf import settings

settings.configure(
    DATABASES={'default': {'ENGINE': 'django.db.backends.postgresql',
                           'NAME': 'django_managed'}},
    DEFAULT_AUTO_FIELD='django.db.models.BigAutoField',
    INSTALLED_APPS=[], USE_TZ=True, TIME_ZONE='UTC')
django.setup()

from django.contrib.postgres.fields import ArrayField  # noqa
from django.core.serializers.json import DjangoJSONEncoder  # noqa
from django.db import (IntegrityError, DatabaseError, connection,  # noqa
                       models, transaction)

HERE = os.path.dirname(os.path.abspath(__file__))


class Columns(models.Model):
    sku = models.TextField(unique=True)
    name = models.TextField()
    price = models.DecimalField(max_digits=10, decimal_places=2, default=1)
    stock = models.IntegerField(default=0)
    active = models.BooleanField(default=True)
    tags = ArrayField(models.TextField(), null=True)
    details = models.JSONField(null=True)
    released = models.DateField(null=True)
    seen_at = models.DateTimeField(null=True)
    note = models.TextField(null=True)

    class Meta:
        abstract = True


class Product(Columns):
    class Meta:
        app_label = 'shop'
        managed = False
        db_table = 'products'


class Twin(Columns):
    class Meta:
        app_label = 'shop'
        managed = False
        db_table = 'twins'


# One that changes, one that is new, one that stays as it is, and another new.
ROWS = [
    {'sku': 'pot', 'name': 'Pot', 'price': Decimal('21.50'), 'stock': 3},
    {'sku': 'mug', 'name': 'Mug', 'price': Decimal('4.00'), 'stock': 0},
    {'sku': 'cup', 'name': 'Cup', 'price': Decimal('5.00'), 'stock': 10},
    {'sku': 'jug', 'name': 'Jug; 1 l, "50%"\t\\N',
     'price': Decimal('9.99'), 'stock': 7},
]


def dumps(rows):
    return json.dumps(rows, cls=DjangoJSONEncoder)


def upsert(rows, options=''):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT * FROM orm_ext.bulk_upsert('products', %%s, %%s%s)"
            % options, [dumps(rows), ['sku']])
        return cursor.fetchone()


def last_counts():
    with connection.cursor() as cursor:
        cursor.execute('SELECT inserted, updated, unchanged, skipped'
                       '  FROM orm_ext.last_bulk_result()')
        return cursor.fetchone()


def own_upsert(rows):
    """update_conflicts is there from Django 4.1 on."""
    if django.VERSION >= (4, 1) and len({tuple(row) for row in rows}) == 1:
        Twin.objects.bulk_create(
            [Twin(**row) for row in rows], update_conflicts=True,
            unique_fields=['sku'],
            update_fields=[name for name in rows[0] if name != 'sku'])
    else:
        for row in rows:
            Twin.objects.update_or_create(sku=row['sku'], defaults=row)


class UpsertTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        with connection.cursor() as cursor:
            cursor.execute('SELECT reset_products()')

    def tearDown(self):
        with connection.cursor() as cursor:
            cursor.execute('SELECT * FROM differences')
            self.assertEqual(cursor.fetchall(), [])

    def test_json(self):
        self.assertEqual(upsert(ROWS), (2, 1, 1, 0))
        own_upsert(ROWS)
        self.assertEqual(upsert(ROWS), (0, 0, 4, 0))

    def test_types(self):
        rows = [{'sku': 'cup', 'name': 'Cup \u2615', 'active': False,
                 'tags': ['a', 'b, "c"', '\\', ''],
                 'details': {'size': [1, 2.5, None]},
                 'released': date(2026, 2, 28),
                 'seen_at': datetime(2026, 3, 1, 12, 30, 15, 123000,
                                     tzinfo=timezone.utc), 'note': 'a\nb'},
                {'sku': 'mug', 'name': '', 'active': True, 'tags': [],
                 'details': {}, 'released': date(1970, 1, 1),
                 'seen_at': datetime(1970, 1, 1, tzinfo=timezone.utc),
                 'note': ''}]
        self.assertEqual(upsert(rows), (1, 1, 0, 0))
        own_upsert(rows)

    def test_absent_is_not_null(self):
        rows = [{'sku': 'cup', 'note': None}, {'sku': 'mug', 'name': 'Mug'},
                {'sku': 'lid', 'stock': 5, 'tags': ['new']}]
        self.assertEqual(upsert(rows), (1, 2, 0, 0))
        own_upsert(rows)

    def test_duplicates(self):
        rows = [ROWS[0], ROWS[1], dict(ROWS[1], name='Mug again')]
        self.assertEqual(upsert(rows), (1, 1, 0, 1))
        own_upsert([rows[0], rows[2]])

    def test_ignore_conflicts(self):
        self.assertEqual(upsert(ROWS, ", on_conflict => 'nothing'"),
                         (2, 0, 0, 2))
        Twin.objects.bulk_create([Twin(**row) for row in ROWS],
                                 ignore_conflicts=True)

    def test_raw_gives_instances_in_order(self):
        products = list(Product.objects.raw(
            'SELECT (result).* FROM orm_ext.bulk_upsert_returning('
            'NULL::products, %s::jsonb, %s) ORDER BY ordinal',
            [dumps(ROWS), ['sku']]))
        self.assertEqual([product.sku for product in products],
                         [row['sku'] for row in ROWS])
        self.assertEqual((products[2].pk, products[2].tags),
                         (1, ['tea', 'blue']))
        products[1].stock = 12
        products[1].save()
        products[3].delete()
        own_upsert([ROWS[0], dict(ROWS[1], stock=12), ROWS[2]])

    def test_primary_keys_of_instances(self):
        """What bulk_create() leaves out when it updates (before 5.0)."""
        products = [Product(**row) for row in ROWS]
        with connection.cursor() as cursor:
            cursor.execute(
                'SELECT ordinal, (result).id FROM'
                ' orm_ext.bulk_upsert_returning('
                'NULL::products, %s::jsonb, %s)', [dumps(ROWS), ['sku']])
            for ordinal, key in cursor.fetchall():
                products[ordinal - 1].pk = key
        for product in products:
            product.refresh_from_db()
        self.assertEqual([product.sku for product in products],
                         [row['sku'] for row in ROWS])
        own_upsert(ROWS)

    def test_atomic(self):
        with transaction.atomic():
            upsert(ROWS[:1])
            with self.assertRaises(IntegrityError) as caught:
                with transaction.atomic():
                    upsert(ROWS + [{'sku': 'x', 'name': 'X', 'price': -1}])
            self.assertIn('row 5', str(caught.exception))
        own_upsert(ROWS[:1])

    def test_errors(self):
        for rows, sqlstate in (
                ([{'sku': 'x'}], '23502'),
                ([{'sku': 'x', 'name': 'X', 'id': 1}], '23505'),
                ([{'sku': 'x', 'colour': 1}], '42703'),
                ([{'sku': 'x', 'name': 'X', 'stock': 'many'}], '22P02')):
            with self.assertRaises(DatabaseError) as caught:
                upsert(rows)
            cause = caught.exception.__cause__
            self.assertEqual(
                getattr(cause, 'pgcode', None) or cause.sqlstate, sqlstate)

    def copy(self, statement, text):
        """By the driver's cursor beneath, of whichever driver it is."""
        with connection.cursor() as cursor:
            if hasattr(cursor.cursor, 'copy_expert'):
                cursor.cursor.copy_expert(statement, io.StringIO(text))
            else:
                with cursor.copy(statement) as copy:
                    copy.write(text)

    def test_copy(self):
        self.copy("COPY products (sku, name, price, stock) FROM STDIN WITH"
                  " (FORMAT csv, on_conflict 'update',"
                  ' conflict_columns (sku))', ''.join('%s,"%s",%s,%s\n' % (
                      row['sku'], row['name'].replace('"', '""'),
                      row['price'], row['stock']) for row in ROWS))
        self.assertEqual(last_counts(), (2, 1, 1, 0))
        own_upsert(ROWS)

    def test_setting(self):
        """For packages that write the COPY themselves."""
        def load():
            self.copy('COPY "products" ("id", "sku", "name") FROM STDIN'
                      ' WITH CSV', '2,pot,Teapot\n50,mug,Mug\n')

        with self.assertRaises(Exception) as caught:
            load()
        self.assertIn('products_pkey', str(caught.exception))
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(
                    "SET LOCAL orm_ext.copy_on_conflict = 'update'")
            load()
        self.assertEqual(last_counts(), (1, 1, 0, 0))
        own_upsert([{'sku': 'pot', 'name': 'Teapot'},
                    {'sku': 'mug', 'name': 'Mug'}])


def main():
    subprocess.run(
        ['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', 'django_managed',
         '-f', os.path.join(HERE, '..', 'products.sql')],
        check=True, stdout=subprocess.DEVNULL)
    suite = unittest.TestLoader().loadTestsFromModule(
        sys.modules[__name__])
    result = unittest.TextTestRunner(stream=sys.stdout).run(suite)
    connection.close()
    failed = len(result.failures) + len(result.errors)
    run = result.testsRun - len(result.skipped)
    print('%d passed, %d failed' % (run - failed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
