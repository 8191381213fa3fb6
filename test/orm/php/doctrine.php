<?php
/*
 * Doctrine's optimistic locking (#[Version]), in two sessions.
 *
 * Each scenario is played on two databases.  In the plain one nobody but Doctrine looks after
 * versions; in the managed one triggers of orm_ext do as well, and must not be noticed: the same
 * answer by the same statements.  Connection parameters come from PGHOST and so on.
 */

declare(strict_types=1);

require_once 'Doctrine/ORM/autoload.php';
require_once 'Psr/Log/autoload.php';
@include_once 'Symfony/Component/VarExporter/autoload.php';

use Doctrine\DBAL\DriverManager;
use Doctrine\DBAL\Exception\DriverException;
use Doctrine\DBAL\LockMode;
use Doctrine\DBAL\Logging\Middleware;
use Doctrine\ORM\Configuration;
use Doctrine\ORM\EntityManager;
use Doctrine\ORM\Mapping as ORM;
use Doctrine\ORM\Mapping\Driver\AttributeDriver;
use Doctrine\ORM\OptimisticLockException;
use Doctrine\ORM\Tools\SchemaTool;

#[ORM\Entity, ORM\Table(name: 'docs')]
class Doc
{
    #[ORM\Id, ORM\Column, ORM\GeneratedValue]
    public ?int $id = null;

    #[ORM\Column(type: 'text', unique: true)]
    public string $title = '';

    #[ORM\Column]
    public int $views = 0;

    #[ORM\Column(type: 'integer'), ORM\Version]
    public int $version = 1;

    // The server's; never sent.
    #[ORM\Column(type: 'datetimetz', nullable: true, insertable: false, updatable: false)]
    public ?DateTime $createdAt = null;

    public function __construct(string $title = '')
    {
        $this->title = $title;
    }
}

#[ORM\Entity, ORM\Table(name: 'assets'), ORM\InheritanceType('JOINED')]
#[ORM\DiscriminatorColumn(name: 'kind', type: 'string'), ORM\DiscriminatorMap(['asset' => Asset::class, 'film' => Film::class])]
class Asset
{
    #[ORM\Id, ORM\Column, ORM\GeneratedValue]
    public ?int $id = null;

    #[ORM\Column]
    public string $name = 'sunset';

    #[ORM\Column(type: 'integer'), ORM\Version]
    public int $version = 1;
}

#[ORM\Entity, ORM\Table(name: 'films')]
class Film extends Asset
{
    #[ORM\Column]
    public int $minutes = 90;
}

const TRIGGERS = [
    'docs' => "stamp('version=version', 'created=createdat', 'ignore=views')",
    'assets' => "version('version')",
];

/** Remembers the statements that are sent. */
class Statements extends Psr\Log\AbstractLogger
{
    public array $log = [];

    public function log($level, $message, array $context = []): void
    {
        if (isset($context['sql'])) {
            $this->log[] = $context['sql'];
        }
    }
}

/** One of the databases. */
class Side
{
    private array $managers = [];
    private Statements $statements;
    public readonly string $database;

    public function __construct(public readonly string $kind)
    {
        $this->database = 'doctrine_' . $kind;
        $this->statements = new Statements();
    }

    /** Another session, with nothing read yet. */
    public function session(): EntityManager
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
        $config->setMiddlewares([new Middleware($this->statements)]);
        $connection = DriverManager::getConnection([
            'driver' => 'pdo_pgsql', 'host' => getenv('PGHOST'), 'port' => (int) getenv('PGPORT'),
            'user' => getenv('PGUSER'), 'dbname' => $this->database,
        ], $config);
        return $this->managers[] = method_exists(EntityManager::class, 'create')
            ? EntityManager::create($connection, $config) : new EntityManager($connection, $config);
    }

    /** What somebody writes in between, who knows of no ORM. */
    public function psql(string $statement): string
    {
        $command = 'psql -XAtq -v ON_ERROR_STOP=1 -c ' . escapeshellarg($statement) . ' ' . $this->database . ' 2>&1';
        exec($command, $lines, $status);
        if ($status !== 0) {
            throw new RuntimeException(implode("\n", $lines));
        }
        return implode("\n", $lines);
    }

    public function create(): void
    {
        $session = $this->session();
        $classes = array_map([$session, 'getClassMetadata'], [Doc::class, Asset::class, Film::class]);
        (new SchemaTool($session))->createSchema($classes);
        foreach ($this->kind === 'managed' ? TRIGGERS : [] as $table => $function) {
            $session->getConnection()->executeStatement(
                "CREATE TRIGGER zz_stamp BEFORE INSERT OR UPDATE ON $table FOR EACH ROW EXECUTE FUNCTION orm_ext.$function");
        }
        $this->close();
    }

    public function play(callable $scenario): array
    {
        foreach (array_keys(TRIGGERS) as $table) {
            // Not RESTART IDENTITY: sequences are the table's own only in newer releases.
            $this->psql("TRUNCATE $table CASCADE; SELECT setval('{$table}_id_seq', 1, false)");
        }
        $session = $this->session();
        foreach ([new Doc('one'), new Doc('two'), new Film()] as $entity) {
            $session->persist($entity);
        }
        $session->flush();
        $this->statements->log = [];
        $answer = $scenario($this);
        $log = $this->statements->log;
        $this->close();
        return [$answer, $log, $this->psql('SELECT id, title, views, version FROM docs ORDER BY id; SELECT * FROM assets; SELECT * FROM films')];
    }

    private function close(): void
    {
        foreach ($this->managers as $manager) {
            $manager->getConnection()->close();
        }
        $this->managers = [];
    }
}

class Suite
{
    public int $passed = 0;
    public int $failed = 0;
    private Side $plain;
    private Side $managed;

    public function __construct()
    {
        [$this->plain, $this->managed] = [new Side('plain'), new Side('managed')];
        $this->plain->create();
        $this->managed->create();
    }

    /** Plays on both databases, which must not differ. */
    public function twin(string $title, callable $scenario): void
    {
        $this->check($title, function () use ($scenario) {
            equal($this->managed->play($scenario), $this->plain->play($scenario));
        });
    }

    /** Plays where triggers are what it is about. */
    public function managed(string $title, callable $scenario): void
    {
        $this->check($title, fn () => $this->managed->play($scenario));
    }

    private function check(string $title, callable $test): void
    {
        try {
            $test();
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

function stale(callable $work): string
{
    try {
        $work();
    } catch (OptimisticLockException) {
        return 'stale';
    }
    throw new RuntimeException('no OptimisticLockException');
}

function sqlstate(string $state, callable $work): void
{
    try {
        $work();
    } catch (DriverException $error) {
        equal($error->getSQLState(), $state);
        return;
    }
    throw new RuntimeException("no error $state");
}

/** Runs the work in a transaction of that setting. */
function under(EntityManager $session, string $setting, string $value, callable $work): void
{
    $connection = $session->getConnection();
    $connection->beginTransaction();
    try {
        $connection->executeStatement("SET LOCAL orm_ext.$setting = '$value'");
        $work();
        $connection->commit();
    } catch (Throwable $error) {
        $connection->rollBack();
        throw $error;
    }
}

function change(EntityManager $session, string $title): Doc
{
    $doc = $session->find(Doc::class, 1);
    $doc->title = $title;
    $session->flush();
    return $doc;
}

// php-doctrine-* is older than PHP here and there.
error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED);
$version = trim((string) shell_exec("dpkg-query -W -f '\${Version}' php-doctrine-orm 2>/dev/null"));
echo '# doctrine ' . preg_replace('/[^0-9.].*/', '', $version) . "\n# php " . PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION . "\n";

$suite = new Suite();

$suite->twin('flush counts from 1, and reads the count', function (Side $side) {
    $session = $side->session();
    $doc = new Doc('new');
    $session->persist($doc);
    $session->flush();
    $numbers = [$doc->version];
    foreach (['a', 'b', 'c'] as $doc->title) {
        $session->flush();
        $numbers[] = $doc->version;
    }
    equal($numbers, [1, 2, 3, 4]);
});

$suite->twin('nothing changed, nothing sent', function (Side $side) {
    $session = $side->session();
    $doc = $session->find(Doc::class, 1);
    $session->flush();
    return $doc->version;
});

$suite->twin('a stale flush', function (Side $side) {
    [$one, $two] = [$side->session(), $side->session()];
    $doc = $two->find(Doc::class, 1);
    change($one, 'theirs');
    $doc->title = 'mine';
    stale(fn () => $two->flush());
    return change($side->session(), 'mine')->version;
});

$suite->twin('one of many is stale', function (Side $side) {
    [$one, $two] = [$side->session(), $side->session()];
    foreach ($two->getRepository(Doc::class)->findBy([], ['id' => 'DESC']) as $doc) {
        $doc->title .= '!';
    }
    change($one, 'theirs');
    return stale(fn () => $two->flush());
});

$suite->twin('joined inheritance: the version is in another table', function (Side $side) {
    [$one, $two] = [$side->session(), $side->session()];
    [$mine, $theirs] = [$one->find(Asset::class, 1), $two->find(Asset::class, 1)];
    $theirs->minutes = 91;
    $two->flush();
    $theirs->name = 'sunrise';
    $two->flush();
    equal($theirs->version, 3);
    $mine->minutes = 92;
    return stale(fn () => $one->flush());
});

$suite->twin('lock(), and find() with a version', function (Side $side) {
    [$one, $two] = [$side->session(), $side->session()];
    $one->find(Doc::class, 1, LockMode::OPTIMISTIC, 1);
    change($two, 'theirs');
    $one->clear();
    stale(fn () => $one->find(Doc::class, 1, LockMode::OPTIMISTIC, 1));
    $doc = $one->find(Doc::class, 1);
    $one->lock($doc, LockMode::OPTIMISTIC, 2);
    return stale(fn () => $one->lock($doc, LockMode::OPTIMISTIC, 1));
});

$suite->twin('remove() does not look at the version', function (Side $side) {
    [$one, $two] = [$side->session(), $side->session()];
    $doc = $two->find(Doc::class, 1);
    change($one, 'theirs');
    $two->remove($doc);
    $two->flush();
});

$suite->managed('psql is noticed', function (Side $side) {
    $session = $side->session();
    $doc = $session->find(Doc::class, 1);
    $side->psql("UPDATE docs SET title = 'psql' WHERE id = 1");
    stale(fn () => $side->session()->find(Doc::class, 1, LockMode::OPTIMISTIC, 1));
    $doc->title = 'mine';
    stale(fn () => $session->flush());
    equal(change($side->session(), 'mine')->version, 3);
});

$suite->managed('psql is not noticed where nothing that counts has changed', function (Side $side) {
    $session = $side->session();
    $session->find(Doc::class, 1);
    $side->psql('UPDATE docs SET title = title, views = views + 1');
    equal(change($session, 'mine')->version, 2);
});

$suite->managed('an UPDATE in DQL is noticed', function (Side $side) {
    [$one, $two] = [$side->session(), $side->session()];
    $doc = $one->find(Doc::class, 1);
    $two->createQuery("UPDATE Doc d SET d.title = CONCAT(d.title, '!')")->execute();
    $doc->title = 'mine';
    stale(fn () => $one->flush());
});

$suite->managed('times', function (Side $side) {
    $session = $side->session();
    $created = $side->psql('SELECT createdat FROM docs WHERE id = 1');
    $side->psql("UPDATE docs SET createdat = '2001-01-01', title = 'psql' WHERE id = 1");
    change($session, 'mine');
    equal($side->psql('SELECT createdat FROM docs WHERE id = 1'), $created);
});

$suite->managed('orm_ext.expected_version for remove()', function (Side $side) {
    $session = $side->session();
    $session->find(Doc::class, 1);
    $side->psql("UPDATE docs SET title = 'psql' WHERE id = 1");
    $remove = function (string $version) use ($side) {
        $session = $side->session();
        under($session, 'expected_version', $version, function () use ($session) {
            $session->remove($session->find(Doc::class, 1));
            $session->flush();
        });
    };
    sqlstate('OE001', fn () => $remove('1'));
    $remove('2');
    equal($side->psql('SELECT count(*) FROM docs'), '1');
});

$suite->managed('orm_ext.version_guard', function (Side $side) {
    $session = $side->session();
    under($session, 'version_guard', 'error', fn () => change($session, 'mine'));
    sqlstate('OE002', function () use ($side) {
        $session = $side->session();
        under($session, 'version_guard', 'error', function () use ($session) {
            $session->remove($session->find(Doc::class, 1));
            $session->flush();
        });
    });
});

echo "$suite->passed passed, $suite->failed failed\n";
exit($suite->failed > 0 ? 1 : 0);
