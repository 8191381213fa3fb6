"""Names and types to choose from."""

SCHEMAS = ('one', 'two', 'my.sch', 'Три')

TABLES = ('t', 'u', 'account', 'billing_invoice', 'foo', 'foo_bar', 'Order Item', 'täble_ß', 'a.b', 'per%cent',
          'q"uote', 'select', '%(x)s', 'reporting_monthly_customer_subscription_renewal_line',
          'reporting_monthly_customer_subscription_renewal_summary_line', 'x' * 55, 'y' * 63, 'z' * 70,
          'ä' * 30 + '_tab', '表' * 21, '表' * 30, 't_a', 'back\\slash', "it's")

COLUMNS = ('id', 'a', 'b', 'c', 'd', 'account_id', 'bar_id', 'a_b', 'Größe', 'x y', 'c.d', '100%', 'q"q', 'Key', 'a1',
           'information_channel_code', 'billing_convention_code', 'w' * 40, 'v' * 63, 'u' * 66, '列' * 21, 'ö' * 20)

# Weights: most columns can be in any key.
TYPES = (('int', 8), ('text', 4), ('varchar(30)', 2), ('bigint', 2), ('numeric(8,2)', 1), ('timestamptz', 1),
         ('boolean', 1), ('int4range', 2), ('box', 1), ('json', 1), ('int[]', 1), ('uuid', 1), ('serial', 1))

NAMES = ('foo', 'bar_check', 'uq_foo', 'My "name"', 'with.dot', '50%', 'pk1', 'idx', 'name_key', 'n' * 62, 'm' * 63,
         'o' * 70, 'é' * 32, '名' * 21, '名' * 25, 'key7', 'fk_rails_0123456789',
         'IDX_0123456789abcdef0123456789', "o'c",'some_ccnew', 'some_ccold1')

WORDS = ('positive', 'total_positive', 'a', 'x1', 'Wörd', 'w' * 50, 'v' * 61, '%', 'a_b', 'not.good')
