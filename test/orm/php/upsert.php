<?php
/*
 * PDO and Doctrine: bulk_upsert() with JSON, and COPY as PDO writes it.
 *
 * Works in doctrine_managed, with the tables of ../products.sql: what bulk upsert leaves in
 * products and a prepared INSERT ... ON CONFLICT in twins must be equal.
 */

declare(strict_types=1);

require_once 'Doctrine/ORM/autoload.php';
@include_once 'Symfony/Component/VarExporter/autoload.php';

use Doctrine\DBAL\Connection;
use Doctrine\DBAL\DriverManager;
use Doctrine\DBAL\Exception\NotNullConstraintViolationException;
use Doctrine\DBAL\Exception\UniqueConstraintViolationException;
use Doctrine\DBAL\Types\Types;
use Doctrine\ORM\Configuration;
use Doctrine\ORM\EntityManager;
use Doctrine\ORM\Mapping as ORM;
use Doctrine\ORM\Mapping\Driver\AttributeDriver;
use Doctrine\ORM\Query\ResultSetMappingBuilder;

#[ORM\Entity, ORM\Table(name: 'products')]
class Product
{
    #[ORM\Id, ORM\Column(type: 'bigint'), ORM\GeneratedValue(strategy: 'IDENTITY')]
    public int|string|null $id = null;

    #[ORM\Column(type: 'text', unique: true)]
    public string $sku = '';

    #[ORM\Column(type: 'text')]
    public string $name = '';

    #[ORM\Column(type: 'decimal', precision: 10, scale: 2)]
    public string $price = '1';

    #[ORM\Column]
    public int $stock = 0;
}

// One that changes, one that is new, one that stays as it is, and another new.
const ROWS = [
    ['sku' => 'pot', 'name' => 'Pot', 'price' => '21.50', 'stock' => 3],
    ['sku' => 'mug', 'name' => 'Mug', 'price' => '4.00', 'stock' => 0],
    ['sku' => 'cup', 'name' => 'Cup', 'price' => '5.00', 'stock' => 10],
    ['sku' => 'jug', 'name' => "Jug; 1 l, \"50%\" \u{1f375}", 'price' => '9.99', 'stock' => 7],
];
const COUNTS = ['inserted' => 2, 'updated' => 1, 'unchanged' => 1, 'skipped' => 0];

const OWN_UPSERT = 'INSERT INTO twins (sku, name, price, stock) VALUES (:sku, :name, :price, :stock)
    ON CONFLICT (sku) DO UPDATE SET name = excluded.name, price = excluded.price, stock = excluded.stock';
const RETURNING = "orm_ext.bulk_upsert_returning(NULL::products, CAST(:rows AS jsonb), ARRAY['sku'])";

class Suite
{
    public int $passed = 0;
    public int $failed = 0;
    public EntityManager $manager;
    public Connection $connection;

    public function __construct()
    {
        $config = new Configuration();
        $config->setMetadataDriverImpl(new AttributeDriver([], true));
        if (PHP_VERSION_ID >= 80400 && method_exists($config, 'enableNativeLazyObjects')) {
            $config->enableNativeLazyObjects(true);
        } else {
            $config->setProxyDir(sys_get_temp_dir());
            $config->setProxyNamespace('Proxies');
            $config->setAutoGenerateProxyClasses(3); // eval
        }
        $this->connection = DriverManager::getConnection([
            'driver' => 'pdo_pgsql', 'host' => getenv('PGHOST'), 'port' => (int) getenv('PGPORT'),
            'user' => getenv('PGUSER'), 'dbname' => 'doctrine_managed',
        ], $config);
        $this->manager = method_exists(EntityManager::class, 'create')
            ? EntityManager::create($this->connection, $config) : new EntityManager($this->connection, $config);
    }

    public function pdo(): PDO
    {
        return $this->connection->getNativeConnection();
    }

    /** Its answer in the order of names, the counts as numbers. */
    public function upsert(array $rows, string $options = ''): array
    {
        return array_map('intval', $this->connection->fetchAssociative(
            "SELECT * FROM orm_ext.bulk_upsert('products', :rows, '{sku}' $options)",
            ['rows' => json_encode($rows)]));
    }

    public function lastCounts(): array
    {
        return array_map('intval', $this->connection->fetchAssociative(
            'SELECT inserted, updated, unchanged, skipped FROM orm_ext.last_bulk_result()'));
    }

    public function ownUpsert(array $rows): void
    {
        foreach ($rows as $row) {
            $this->connection->executeStatement(OWN_UPSERT, $row);
        }
    }

    /** Plays a scenario on fresh rows; the two tables must be equal at its end. */
    public function scenario(string $title, callable $scenario): void
    {
        try {
            $this->manager->clear();
            $this->connection->executeQuery('SELECT reset_products()')->fetchOne();
            $scenario($this);
            equal($this->connection->fetchAllAssociative('SELECT * FROM differences'), []);
            $this->passed++;
            echo "ok - $title\n";
        } catch (Throwable $error) {
            $this->failed++;
            echo "not ok - $title\n" . preg_replace('/^/m', '# ', (string) $error) . "\n";
        }
    }
}

function equal(mixed $actual, mixed $expected): void
{
    if ($actual !== $expected) {
        throw new RuntimeException('expected ' . var_export($expected, true) . ', got ' . var_export($actual, true));
    }
}

/** Returns the error that the work ends with. */
function raised(string $class, callable $work): Throwable
{
    try {
        $work();
    } catch (Throwable $error) {
        if ($error instanceof $class) {
            return $error;
        }
        throw $error;
    }
    throw new RuntimeException("no $class");
}

/** Rows of some of their columns, as lines of COPY's text format. */
function lines(array $rows): array
{
    return array_map(fn ($row) => implode("\t", $row) . "\n", $rows);
}

/** PDO\Pgsql has other names from PHP 8.4 on; either may be there. */
function copyFromArray(PDO $pdo, array $lines, string $columns): bool
{
    return method_exists($pdo, 'copyFromArray')
        ? $pdo->copyFromArray('products', $lines, "\t", '\\\\N', $columns)
        : $pdo->pgsqlCopyFromArray('products', $lines, "\t", '\\\\N', $columns);
}

// php-doctrine-* is older than PHP here and there.
error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED);
$suite = new Suite();
exec('psql -XAtq -v ON_ERROR_STOP=1 -d doctrine_managed -f ' . escapeshellarg(__DIR__ . '/../products.sql'), $output, $status);
equal($status, 0);

$suite->scenario('DBAL: a named parameter', function (Suite $suite) {
    equal($suite->upsert(ROWS), COUNTS);
    $suite->ownUpsert(ROWS);
    equal($suite->upsert(ROWS), ['inserted' => 0, 'updated' => 0, 'unchanged' => 4, 'skipped' => 0]);
});

$suite->scenario('DBAL: the type that writes JSON', function (Suite $suite) {
    $counts = $suite->connection->fetchNumeric(
        'SELECT * FROM orm_ext.bulk_upsert(?, ?, ?)', ['products', ROWS, '{sku}'], [Types::STRING, Types::JSON, Types::STRING]);
    equal(array_map('intval', $counts), array_values(COUNTS));
    $suite->ownUpsert(ROWS);
});

$suite->scenario('PDO: one prepared statement, several batches', function (Suite $suite) {
    foreach ([PDO::ATTR_EMULATE_PREPARES => true, PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_NUM] as $attribute => $value) {
        $suite->connection->executeQuery('SELECT reset_products()')->fetchOne();
        $statement = $suite->pdo()->prepare(
            "SELECT updated + inserted FROM orm_ext.bulk_upsert('products', :rows, ARRAY['sku'])", [$attribute => $value]);
        $written = [];
        foreach (array_chunk([...ROWS, ...ROWS], 2) as $batch) {
            $statement->execute(['rows' => json_encode($batch)]);
            $written[] = (int) $statement->fetchColumn();
        }
        equal($written, [2, 1, 0, 0]);
    }
    $suite->ownUpsert(ROWS);
});

$suite->scenario('null and absent', function (Suite $suite) {
    $suite->upsert([['sku' => 'cup', 'note' => null], ['sku' => 'mug', 'name' => 'Mug'], ['sku' => 'lid', 'stock' => 5]]);
    $suite->connection->executeStatement("UPDATE twins SET note = NULL WHERE sku = 'cup'");
    $suite->connection->executeStatement("UPDATE twins SET stock = 5 WHERE sku = 'lid'");
    $suite->connection->executeStatement("INSERT INTO twins (sku, name) VALUES ('mug', 'Mug')");
});

// An empty list and an empty object are the same to PHP.
$suite->scenario('no rows', function (Suite $suite) {
    equal(array_sum($suite->upsert([])), 0);
});

$suite->scenario('entities come back in order, managed', function (Suite $suite) {
    $known = $suite->manager->find(Product::class, 2);
    equal($known->price, '20.00');
    $mapping = new ResultSetMappingBuilder($suite->manager);
    $mapping->addRootEntityFromClassMetadata(Product::class, 'p');
    $products = $suite->manager->createNativeQuery('SELECT (result).* FROM ' . RETURNING . ' ORDER BY ordinal', $mapping)
        ->setHint(Doctrine\ORM\Query::HINT_REFRESH, true)
        ->setParameter('rows', json_encode(ROWS))->getResult();
    equal(array_column($products, 'sku'), array_column(ROWS, 'sku'));
    equal([$products[0] === $known, $known->price], [true, '21.50']);
    $products[1]->stock = 12;
    $suite->manager->remove($products[3]);
    $suite->manager->flush();
    $suite->ownUpsert(array_slice(ROWS, 0, 3));
    $suite->connection->executeStatement("UPDATE twins SET stock = 12 WHERE sku = 'mug'");
});

$suite->scenario('in a transaction that is rolled back', function (Suite $suite) {
    raised(DomainException::class, fn () => $suite->connection->transactional(function () use ($suite) {
        equal($suite->upsert(ROWS), COUNTS);
        throw new DomainException('no');
    }));
});

$suite->scenario('errors have their classes', function (Suite $suite) {
    $error = raised(NotNullConstraintViolationException::class, fn () => $suite->upsert([['sku' => 'x']]));
    equal(preg_match('/row 1/', $error->getMessage()), 1);
    raised(UniqueConstraintViolationException::class, fn () => $suite->upsert([['sku' => 'x', 'name' => 'X', 'id' => 1]]));
});

// PDO writes COPY products (...) FROM STDIN WITH DELIMITER E'...' NULL AS E'...'.
$suite->scenario('pgsqlCopyFromArray and the setting', function (Suite $suite) {
    $rows = [['2', ...array_values(ROWS[0])], ['50', ...array_values(ROWS[1])], ['1', ...array_values(ROWS[2])]];
    $copy = fn () => copyFromArray($suite->pdo(), lines($rows), 'id, sku, name, price, stock');
    equal(raised(PDOException::class, $copy)->errorInfo[0], '23505');
    $suite->connection->transactional(function (Connection $connection) use ($copy) {
        $connection->executeStatement("SET LOCAL orm_ext.copy_on_conflict = 'update'");
        equal($copy(), true);
    });
    equal($suite->lastCounts(), ['inserted' => 1, 'updated' => 1, 'unchanged' => 1, 'skipped' => 0]);
    $suite->ownUpsert(array_slice(ROWS, 0, 3));
    equal(raised(PDOException::class, $copy)->errorInfo[0], '23505');
});

$suite->scenario('pgsqlCopyFromArray and another key', function (Suite $suite) {
    $suite->connection->transactional(function (Connection $connection) use ($suite) {
        $connection->executeStatement("SET LOCAL orm_ext.copy_on_conflict = 'update'");
        $connection->executeStatement("SET LOCAL orm_ext.copy_conflict_columns = 'sku'");
        copyFromArray($suite->pdo(), lines(ROWS), 'sku, name, price, stock');
    });
    equal($suite->lastCounts(), COUNTS);
    $suite->ownUpsert(ROWS);
});

// pg_copy_from() cannot name columns: all of the table's.
$suite->scenario('pg_copy_from and the setting', function (Suite $suite) {
    $pg = pg_connect('dbname=doctrine_managed', PGSQL_CONNECT_FORCE_NEW);
    pg_query($pg, "SET orm_ext.copy_on_conflict = 'update'");
    equal(pg_copy_from($pg, 'drafts', ["2\tzwei\t0\t\\N\t\\N\n", "9\tnew\t\\N\t\\N\t\\N\n"]), true);
    equal(pg_fetch_row(pg_query($pg, 'SELECT inserted, updated FROM orm_ext.last_bulk_result()')), ['1', '1']);
    equal(pg_fetch_all_columns(pg_query($pg, 'SELECT title FROM drafts ORDER BY id')), ['one', 'zwei', 'three', 'new']);
    pg_close($pg);
});

echo "$suite->passed passed, $suite->failed failed\n";
exit($suite->failed > 0 ? 1 : 0);
