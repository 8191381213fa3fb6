"""SQLAlchemy: bulk_upsert(), next to insert().on_conflict_do_update()."""

import functools
import json
import random
from datetime import date, datetime, timezone
from decimal import Decimal

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import Text

from products import Customer, Draft, Product, ProductsTestCase, Twin
from twin import sqlstate

# One that changes, one that is new, one that stays as it is, and another new.
ROWS = [
    {'sku': 'pot', 'name': 'Pot', 'price': Decimal('21.50'), 'stock': 3},
    {'sku': 'mug', 'name': 'Mug', 'price': Decimal('4.00'), 'stock': 0},
    {'sku': 'cup', 'name': 'Cup', 'price': Decimal('5.00'), 'stock': 10},
    {'sku': 'jug', 'name': "Jug, 1 l: \"50%\" \\ 'off'",
     'price': Decimal('9.99'), 'stock': 7},
]

UPSERT = text("SELECT * FROM orm_ext.bulk_upsert('products', "
              'CAST(:rows AS jsonb), ARRAY[\'sku\'])')
RETURNING = ('orm_ext.bulk_upsert_returning(NULL::products,'
             " CAST(:rows AS jsonb), ARRAY['sku'])")


def dumps(rows):
    return json.dumps(rows, default=str)


def inside(test):
    """Runs a test where the driver wants it: under asyncpg, in a greenlet."""
    @functools.wraps(test)
    def run(self):
        session = self.db.session()
        try:
            self.db.run(lambda: test(self, session))
        finally:
            self.db.run(session.close)
    return run


def own_upsert(session, rows, update=None, key='sku'):
    """What SQLAlchemy's users write."""
    statement = insert(Twin.__table__).values(rows)
    session.execute(statement.on_conflict_do_update(
        index_elements=[key],
        set_={column: statement.excluded[column]
              for column in update or rows[0] if column != key}))


class BulkUpsertTest(ProductsTestCase):

    @inside
    def test_text_parameter(self, session):
        counts = session.execute(UPSERT, {'rows': dumps(ROWS)}).one()
        own_upsert(session, ROWS)
        session.commit()
        self.assertEqual(counts._asdict(), {
            'inserted': 2, 'updated': 1, 'unchanged': 1, 'skipped': 0})

    @inside
    def test_json_parameter(self, session):
        """The type writes the JSON, so the rows are given as they are."""
        rows = [dict(row, price=str(row['price'])) for row in ROWS]
        statement = text(
            'SELECT * FROM orm_ext.bulk_upsert(:target, :rows, :conflict)'
        ).bindparams(bindparam('rows', type_=JSONB),
                     bindparam('conflict', type_=ARRAY(Text)))
        counts = session.execute(statement, {
            'target': 'products', 'rows': rows, 'conflict': ['sku']}).one()
        own_upsert(session, ROWS)
        session.commit()
        self.assertEqual(tuple(counts), (2, 1, 1, 0))

    @inside
    def test_expression(self, session):
        """Without any SQL text: func and a table-valued function."""
        rows = [dict(row, price=str(row['price'])) for row in ROWS]
        counts = func.orm_ext.bulk_upsert(
            'products', bindparam('rows', rows, type_=JSONB),
            bindparam('conflict', ['sku'], type_=ARRAY(Text))
        ).table_valued('inserted', 'updated', 'unchanged', 'skipped')
        self.assertEqual(
            tuple(session.execute(select(counts)).one()), (2, 1, 1, 0))
        own_upsert(session, ROWS)
        session.commit()

    @inside
    def test_second_time_nothing_is_written(self, session):
        session.execute(UPSERT, {'rows': dumps(ROWS)})
        session.commit()
        before = session.execute(
            text('SELECT xmin, ctid FROM products ORDER BY id')).all()
        counts = session.execute(UPSERT, {'rows': dumps(ROWS)}).one()
        session.commit()
        self.assertEqual(tuple(counts), (0, 0, 4, 0))
        self.assertEqual(session.execute(
            text('SELECT xmin, ctid FROM products ORDER BY id')).all(), before)
        own_upsert(session, ROWS)
        session.commit()

    @inside
    def test_all_types(self, session):
        rows = [
            {'sku': 'cup', 'name': 'Cup \u2615 \U0001f375', 'active': False,
             'tags': ['a', 'b, c', '"', '\\', ''],
             'details': {'size': {'h': 7.5}, 'list': [1, None, 'x']},
             'photo': bytes(range(256)), 'released': date(2026, 2, 28),
             'seen_at': datetime(2026, 3, 1, 12, 30, 15, 123456,
                                 tzinfo=timezone.utc),
             'note': 'line\nline\ttab', 'price': Decimal('12345678.90')},
            {'sku': 'new', 'name': '', 'active': True, 'tags': [],
             'details': {}, 'photo': b'', 'released': date(1970, 1, 1),
             'seen_at': datetime(1970, 1, 1, tzinfo=timezone.utc),
             'note': '', 'price': Decimal('0.01')}]
        counts = session.execute(UPSERT, {'rows': dumps([
            dict(row, photo='\\x' + row['photo'].hex()) for row in rows])})
        own_upsert(session, rows)
        session.commit()
        self.assertEqual(tuple(counts.one()), (1, 1, 0, 0))

    @inside
    def test_absent_is_not_null(self, session):
        """SQLAlchemy wants the same keys in all rows: a statement for each."""
        rows = [
            {'sku': 'cup', 'note': None},
            {'sku': 'pan', 'stock': 5},
            {'sku': 'mug', 'name': 'Mug'},
            {'sku': 'jug', 'name': 'Jug', 'price': 3, 'tags': ['new']},
            {'sku': 'lid', 'tags': ['steel'], 'details': {'d': 20}}]
        counts = session.execute(UPSERT, {'rows': dumps(rows)}).one()
        names = dict(session.execute(select(Twin.sku, Twin.name)).all())
        for row in rows:
            # NOT NULL is checked before there is a conflict.
            own_upsert(session, [dict({'name': names.get(row['sku'])}, **row)])
        session.commit()
        self.assertEqual(tuple(counts), (2, 3, 0, 0))

    @inside
    def test_created_at_stays(self, session):
        now = datetime(2026, 5, 5, tzinfo=timezone.utc)
        rows = [dict(row, created_at=now) for row in ROWS]
        session.execute(UPSERT, {'rows': dumps(rows)})
        own_upsert(session, rows, update=['name', 'price', 'stock'])
        session.commit()

    @inside
    def test_update_columns(self, session):
        statement = text(
            "SELECT * FROM orm_ext.bulk_upsert('products',"
            " CAST(:rows AS jsonb), ARRAY['sku'],"
            " update_columns => ARRAY['stock'])")
        rows = [dict(row, stock=row['stock'] + 1) for row in ROWS]
        counts = session.execute(statement, {'rows': dumps(rows)}).one()
        own_upsert(session, rows, update=['stock'])
        session.commit()
        self.assertEqual(tuple(counts), (2, 2, 0, 0))

    @inside
    def test_nothing(self, session):
        statement = text(
            "SELECT * FROM orm_ext.bulk_upsert('products',"
            " CAST(:rows AS jsonb), ARRAY['sku'],"
            " on_conflict => 'nothing')")
        counts = session.execute(statement, {'rows': dumps(ROWS)}).one()
        session.execute(insert(Twin.__table__).values(ROWS)
                        .on_conflict_do_nothing(index_elements=['sku']))
        session.commit()
        self.assertEqual(tuple(counts), (2, 0, 0, 2))

    @inside
    def test_by_primary_key(self, session):
        """Rows as session.merge() would have them, the new ones without."""
        rows = [{'id': 2, 'sku': 'pot', 'name': 'Teapot'},
                {'id': 77, 'sku': 'mug', 'name': 'Mug'},
                {'sku': 'jug', 'name': 'Jug'}]
        counts = session.execute(text(
            "SELECT * FROM orm_ext.bulk_upsert('products',"
            ' CAST(:rows AS jsonb))'), {'rows': dumps(rows)}).one()
        for row in rows:
            session.merge(Twin(**row))
        session.commit()
        self.assertEqual(tuple(counts), (2, 1, 0, 0))
        self.assertEqual(session.get(Product, 77).name, 'Mug')

    @inside
    def test_duplicates(self, session):
        rows = [{'sku': 'mug', 'name': 'first', 'stock': 1},
                {'sku': 'cup', 'name': 'once'},
                {'sku': 'mug', 'name': 'last'}]

        def upsert(how):
            return tuple(session.execute(text(
                "SELECT * FROM orm_ext.bulk_upsert('products',"
                " CAST(:rows AS jsonb), ARRAY['sku'],"
                " on_duplicate => '%s')" % how), {'rows': dumps(rows)}).one())

        with self.assertRaises(DBAPIError) as own:
            session.execute(insert(Twin.__table__).values([
                {'sku': 'x', 'name': 'a'}, {'sku': 'x', 'name': 'b'}
            ]).on_conflict_do_update(index_elements=['sku'],
                                     set_={'name': 'c'}))
        session.rollback()
        with self.assertRaises(DBAPIError) as caught:
            upsert('error')
        session.rollback()
        self.assertEqual(sqlstate(caught.exception), sqlstate(own.exception))
        self.assertEqual(sqlstate(caught.exception), '21000')

        self.assertEqual(upsert('first'), (1, 1, 0, 1))
        self.assertEqual(session.execute(select(Product.name, Product.stock)
                         .where(Product.sku == 'mug')).one(), ('first', 1))
        session.rollback()

        self.assertEqual(upsert('last'), (1, 1, 0, 1))
        for row in rows:
            own_upsert(session, [row])
        session.commit()

    @inside
    def test_no_rows(self, session):
        counts = session.execute(UPSERT, {'rows': '[]'}).one()
        self.assertEqual(tuple(counts), (0, 0, 0, 0))
        session.commit()

    @inside
    def test_no_sequence_value_is_used_up(self, session):
        for _ in range(5):
            session.execute(UPSERT, {'rows': dumps(ROWS[::2])})
            own_upsert(session, ROWS[::2])
        for table in Product, Twin:
            session.add(table(sku='next', name='Next'))
        session.commit()
        ids = [session.execute(select(table.id).where(
            table.sku == 'next')).scalar_one() for table in (Product, Twin)]
        self.assertEqual(ids, [5, 15])

    @inside
    def test_random_batches(self, session):
        chance = random.Random(5)
        skus = ['item %d' % i for i in range(60)]
        for _ in range(12):
            rows = [{'sku': sku, 'name': chance.choice(['A', 'B']),
                     'price': Decimal(chance.randrange(3)),
                     'tags': chance.choice([None, [], ['x']]),
                     'details': chance.choice([None, {}, {'a': 1}])}
                    for sku in chance.sample(skus, 25)]
            counts = session.execute(UPSERT, {'rows': dumps(rows)}).one()
            own = session.execute(select(func.count()).select_from(
                Twin.__table__)).scalar_one()
            own_upsert(session, rows)
            new = session.execute(select(func.count()).select_from(
                Twin.__table__)).scalar_one() - own
            session.commit()
            self.assertEqual((counts.inserted, sum(counts)), (new, 25))


class ReturningTest(ProductsTestCase):

    @inside
    def test_actions(self, session):
        rows = session.execute(text(
            'SELECT ordinal, action, (result).sku, (result).price FROM '
            + RETURNING), {'rows': dumps(ROWS + ROWS[:1])}).all()
        self.assertEqual([tuple(row) for row in rows], [
            (1, 'duplicate', 'pot', Decimal('21.50')),
            (2, 'inserted', 'mug', Decimal('4.00')),
            (3, 'unchanged', 'cup', Decimal('5.00')),
            (4, 'inserted', 'jug', Decimal('9.99')),
            (5, 'updated', 'pot', Decimal('21.50'))])
        own_upsert(session, ROWS)
        session.commit()

    @inside
    def test_objects_come_back_in_order(self, session):
        known = session.get(Product, 2)
        self.assertEqual(known.price, Decimal('20.00'))
        products = session.execute(
            select(Product).from_statement(text(
                'SELECT (result).* FROM %s ORDER BY ordinal' % RETURNING)),
            {'rows': dumps(ROWS)},
            execution_options={'populate_existing': True}).scalars().all()
        self.assertEqual([product.sku for product in products],
                         [row['sku'] for row in ROWS])
        # The one that the session had is the same object, refreshed.
        self.assertIs(products[0], known)
        self.assertEqual(known.price, Decimal('21.50'))
        self.assertEqual(products[2].note, 'fragile')
        self.assertTrue(all(product.id for product in products))
        # They are persistent: what follows is ordinary work with them.
        products[1].stock = 12
        session.delete(products[3])
        own_upsert(session, ROWS[:3])
        session.execute(Twin.__table__.update().where(
            Twin.sku == 'mug').values(stock=12))
        session.commit()

    @inside
    def test_refresh_by_ordinal(self, session):
        """Objects that were made before their rows: ids are handed out."""
        pending = [Product(**row) for row in ROWS]
        for row in session.execute(text(
                'SELECT ordinal, (result).id FROM ' + RETURNING),
                {'rows': dumps(ROWS)}):
            pending[row.ordinal - 1].id = row.id
        merged = [session.merge(product) for product in pending]
        # Nothing is left to be written.
        self.assertFalse(any(map(session.is_modified, merged)))
        self.assertEqual([product.sku for product in merged],
                         [row['sku'] for row in ROWS])
        self.assertEqual(
            session.execute(select(Product.id).where(
                Product.sku == 'pot')).scalar_one(), 2)
        own_upsert(session, ROWS)
        session.commit()

    @inside
    def test_nothing_gives_the_rows_that_are_there(self, session):
        rows = [{'sku': 'cup', 'name': 'other'}, {'sku': 'mug', 'name': 'Mug'}]
        answer = session.execute(text(
            'SELECT action, (result).id, (result).name FROM '
            'orm_ext.bulk_upsert_returning(NULL::products,'
            " CAST(:rows AS jsonb), ARRAY['sku'], on_conflict => 'nothing')"),
            {'rows': dumps(rows)}).all()
        self.assertEqual([tuple(row) for row in answer],
                         [('skipped', 1, 'Cup'), ('inserted', 5, 'Mug')])
        own_upsert(session, rows[1:])
        session.commit()


class ErrorTest(ProductsTestCase):

    def fails(self, session, code, rows, *parts, target='products'):
        """With this SQLSTATE, and with all of the parts in the message."""
        with self.assertRaises(DBAPIError) as caught:
            session.execute(text(
                "SELECT * FROM orm_ext.bulk_upsert('%s',"
                " CAST(:rows AS jsonb), ARRAY['sku'])" % target),
                {'rows': dumps(rows)})
        session.rollback()
        self.assertEqual(sqlstate(caught.exception), code)
        original = caught.exception.orig
        message = str(original) + str(getattr(
            original.__cause__, 'context', ''))
        for part in parts:
            self.assertIn(part, message)

    @inside
    def test_the_row_is_named(self, session):
        good = {'sku': 'mug', 'name': 'Mug'}
        self.fails(session, '42703', [good, {'sku': 'x', 'colour': 1}],
                   'colour', '2')
        self.fails(session, '22P02',
                   [good, {'sku': 'x', 'name': 'X', 'price': 'abc'}],
                   'row 2', 'price', 'abc')
        self.fails(session, '23514',
                   [good, {'sku': 'x', 'name': 'X', 'price': -1}], 'row 2')
        self.fails(session, '23502', [good, {'sku': 'x'}], 'row 2')
        self.fails(session, '22023', [good, 1])
        self.fails(session, '23505',
                   [good, {'sku': 'x', 'name': 'X', 'id': 1}], 'row 2')

    @inside
    def test_the_session_goes_on(self, session):
        self.fails(session, '23514', [{'sku': 'x', 'name': 'X', 'price': -1}])
        session.execute(UPSERT, {'rows': dumps(ROWS)})
        own_upsert(session, ROWS)
        session.commit()

    @inside
    def test_savepoint(self, session):
        session.execute(UPSERT, {'rows': dumps(ROWS[:1])})
        nested = session.begin_nested()
        session.execute(UPSERT, {'rows': dumps(ROWS)})
        nested.rollback()
        own_upsert(session, ROWS[:1])
        session.commit()

    @inside
    def test_not_a_table(self, session):
        self.fails(session, '42809', [], target='differences')
        self.fails(session, '42P01', [], target='no_such_table')


class PolicyTest(ProductsTestCase):
    """Tables that orm_ext looks after."""

    ANN_AND_BOB = dumps([{'email': 'ann@example.org', 'name': 'Ann again'},
                         {'email': 'bob@example.org', 'name': 'Bob'}])

    def customers(self, session, on_deleted):
        answer = session.execute(text(
            'SELECT action, (result).id FROM orm_ext.bulk_upsert_returning('
            "NULL::customers, CAST(:rows AS jsonb), ARRAY['email'],"
            " on_deleted => '%s')" % on_deleted),
            {'rows': self.ANN_AND_BOB}).all()
        # Before the connection goes back to its pool.
        result = session.execute(
            text('SELECT * FROM orm_ext.last_bulk_result()')).one()
        session.commit()
        actions = [row.action for row in answer]
        self.assertEqual(
            (result.target, result.input, result.inserted, result.revived),
            ('customers', 2, actions.count('inserted'),
             actions.count('revived')))
        return [tuple(row) for row in answer], [
            tuple(row) for row in session.execute(
                select(Customer.id, Customer.name).order_by(Customer.id))]

    @inside
    def test_a_deleted_row_is_revived(self, session):
        self.assertEqual(self.customers(session, 'revive'), (
            [('revived', 1), ('unchanged', 2)],
            [(1, 'Ann again'), (2, 'Bob')]))

    @inside
    def test_a_deleted_row_stays_deleted(self, session):
        self.assertEqual(self.customers(session, 'insert'), (
            [('inserted', 3), ('unchanged', 2)],
            [(2, 'Bob'), (3, 'Ann again')]))

    @inside
    def test_a_deleted_row_is_skipped(self, session):
        answer, rows = self.customers(session, 'skip')
        self.assertEqual([action for action, _ in answer],
                         ['skipped', 'unchanged'])
        self.assertEqual(rows, [(2, 'Bob')])

    @inside
    def test_a_deleted_row_is_an_error(self, session):
        with self.assertRaises(DBAPIError) as caught:
            self.customers(session, 'error')
        self.assertEqual(sqlstate(caught.exception), '23505')
        session.rollback()

    @inside
    def test_stale_rows_are_reported(self, session):
        """Read, changed by somebody, and sent back with what was read."""
        drafts = session.execute(
            select(Draft).order_by(Draft.id)).scalars().all()
        rows = [{'id': draft.id, 'title': draft.title + '!',
                 'lock_version': draft.lock_version}
                for draft in drafts]
        session.commit()
        drafts[1].title = 'theirs'
        session.commit()
        answer = session.execute(text(
            'SELECT ordinal, action, (result).lock_version'
            '  FROM orm_ext.bulk_upsert_returning(NULL::drafts,'
            " CAST(:rows AS jsonb), version_column => 'lock_version')"),
            {'rows': dumps(rows)}).all()
        session.commit()
        self.assertEqual([tuple(row)[:2] for row in answer],
                         [(1, 'updated'), (2, 'stale'), (3, 'updated')])
        session.expire_all()
        self.assertEqual([draft.title for draft in drafts],
                         ['one!', 'theirs', 'three!'])
        # SQLAlchemy goes on counting from there.
        drafts[0].title = 'mine'
        session.commit()
        self.assertEqual(
            drafts[0].lock_version, rows[0]['lock_version'] + 2)
