"""Names as other ORMs give them: {convention: name(object, taken)}.

An object has kind (p u f c x i), table, columns, referred and definition.
What two of them would share gets another hash.
"""

import hashlib

LONGEST = 63


def digest(algorithm, *parts):
    return hashlib.new(algorithm, '_'.join(parts).encode()).hexdigest()


def words(item):
    """The columns, or what stands for an expression."""
    return [''.join(letter for letter in column if letter.isalnum()
                    or letter == '_') for column in item['columns']]


def first_free(make, taken):
    salt = ''
    while make(salt) in taken:
        salt += '+'
    return make(salt)


def rails(item, taken):
    if item['kind'] in 'pux':
        return item['name']
    if item['kind'] == 'i':
        name = 'index_%s_on_%s' % (item['table'], '_and_'.join(words(item)))
        if len(name.encode()) <= LONGEST - 1 and name not in taken:
            return name
        return first_free(lambda salt: 'idx_on_%s' % digest(
            'sha256', name, salt)[:10], taken)
    prefix = {'f': 'fk', 'c': 'chk'}[item['kind']]
    return first_free(lambda salt: '%s_rails_%s' % (prefix, digest(
        'sha256', item['table'], item['definition'], salt)[:10]), taken)


def django(item, taken):
    if item['kind'] in 'px':
        return item['name']
    table, columns = item['table'], '_'.join(words(item))

    def make(salt):
        end = digest('md5', table, item['definition'], salt)
        if item['kind'] == 'i':
            return '%s_%s_%s_idx' % (table[:11], columns[:7], end[:6])
        if item['kind'] == 'c':
            return '%s_%s_is_valid' % (table[:30], end[:3])
        end = end[:8] + ('_uniq' if item['kind'] == 'u'
                         else '_fk_' + item['referred'][:20])
        return '%s_%s_%s' % (table[:18], columns[:12], end)

    return first_free(make, taken)


def typeorm(item, taken):
    prefix, length = {'p': ('PK', 27), 'u': ('UQ', 27), 'f': ('FK', 27),
                      'x': ('XCL', 26), 'c': ('CHK', 26),
                      'i': ('IDX', 26)}[item['kind']]
    return first_free(lambda salt: '%s_%s' % (prefix, digest(
        'sha1', item['table'], *words(item), salt)[:length]), taken)


CONVENTIONS = {'rails': rails, 'django': django, 'typeorm': typeorm}
