<?php
/*
 * Doctrine: entities that know of no soft deletion, tables by its SchemaTool.
 */

declare(strict_types=1);

require_once 'Doctrine/ORM/autoload.php';
@include_once 'Symfony/Component/VarExporter/autoload.php';
require_once __DIR__ . '/play.php';

use Doctrine\Common\Collections\ArrayCollection;
use Doctrine\Common\Collections\Collection;
use Doctrine\DBAL\DriverManager;
use Doctrine\DBAL\Exception\ForeignKeyConstraintViolationException;
use Doctrine\DBAL\Exception\UniqueConstraintViolationException;
use Doctrine\ORM\Configuration;
use Doctrine\ORM\EntityManager;
use Doctrine\ORM\Mapping as ORM;
use Doctrine\ORM\Mapping\Driver\AttributeDriver;
use Doctrine\ORM\OptimisticLockException;
use Doctrine\ORM\Tools\Pagination\Paginator;
use Doctrine\ORM\Tools\SchemaTool;

// Without the option, updates of the schema want the index to be a full one, again and again.
#[ORM\Entity, ORM\Table(name: 'authors')]
#[ORM\UniqueConstraint(columns: ['email'], options: ['where' => '(deleted_at IS NULL)'])]
class Author
{
    #[ORM\Id, ORM\Column, ORM\GeneratedValue]
    public ?int $id = null;

    #[ORM\Column(type: 'integer'), ORM\Version]
    public int $version = 1;

    #[ORM\Column(type: 'datetimetz', nullable: true, insertable: false, updatable: false)]
    public ?DateTime $created_at = null;

    #[ORM\Column(type: 'datetimetz', nullable: true, insertable: false, updatable: false)]
    public ?DateTime $updated_at = null;

    #[ORM\Column(type: 'datetimetz', nullable: true, insertable: false, updatable: false)]
    public ?DateTime $deleted_at = null;

    #[ORM\OneToMany(mappedBy: 'author', targetEntity: Book::class, cascade: ['persist']), ORM\OrderBy(['id' => 'ASC'])]
    public Collection $books;

    public function __construct(
        #[ORM\Column] public string $email,
        #[ORM\Column] public string $name,
    ) {
        $this->books = new ArrayCollection();
    }
}

#[ORM\Entity, ORM\Table(name: 'books')]
class Book
{
    #[ORM\Id, ORM\Column, ORM\GeneratedValue]
    public ?int $id = null;

    #[ORM\Column(nullable: true)]
    public ?int $pages = null;

    #[ORM\Column(type: 'datetimetz', nullable: true, insertable: false, updatable: false)]
    public ?DateTime $deleted_at = null;

    public function __construct(
        #[ORM\ManyToOne(inversedBy: 'books'), ORM\JoinColumn(nullable: false, onDelete: 'CASCADE')] public Author $author,
        #[ORM\Column] public string $title,
        #[ORM\Column] public int $price,
    ) {
    }
}

class Doctrine extends Play
{
    /** A session with nothing read yet. */
    private function session(): EntityManager
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
        $connection = DriverManager::getConnection([
            'driver' => 'pdo_pgsql', 'host' => getenv('PGHOST'), 'port' => $this->port, 'user' => getenv('PGUSER'),
            'dbname' => $this->database, 'driverOptions' => [PDO::PGSQL_ATTR_DISABLE_PREPARES => !$this->prepare],
        ], $config);
        if (method_exists($connection, 'setNestTransactionsWithSavepoints')) {
            $connection->setNestTransactionsWithSavepoints(true);
        }
        return method_exists(EntityManager::class, 'create')
            ? EntityManager::create($connection, $config) : new EntityManager($connection, $config);
    }

    /** Made, dropped and made again; then there is nothing left to update. */
    public function schema(): array
    {
        $session = $this->session();
        $tool = new SchemaTool($session);
        $classes = array_map([$session, 'getClassMetadata'], [Author::class, Book::class]);
        $tool->createSchema($classes);
        $tool->dropSchema($classes);
        $tool->createSchema($classes);
        $left = $tool->getUpdateSchemaSql($classes);
        if ($left !== []) {
            throw new LogicException(implode('; ', $left));
        }
        return array_map(fn ($class) => $class->getTableName(), $classes);
    }

    private function write(string $name, string ...$titles): int
    {
        $session = $this->session();
        $author = new Author(email($name), $name);
        foreach ($titles as $i => $title) {
            $author->books->add(new Book($author, $title, $i + 1));
        }
        $session->persist($author);
        $session->flush();
        return $author->id;
    }

    private function find(EntityManager $session, string $name): ?Author
    {
        return $session->getRepository(Author::class)->findOneBy(['email' => email($name)]);
    }

    private function name(string $of): ?string
    {
        return $this->find($this->session(), $of)?->name;
    }

    private function names(string ...$of): array
    {
        $authors = $this->session()->getRepository(Author::class)
            ->findBy(['email' => array_map('email', $of)], ['email' => 'ASC']);
        return array_map(fn ($author) => $author->name, $authors);
    }

    /** A statement in DQL, by its number of rows, or what it selects. */
    private function dql(string $dql, array $parameters, ?EntityManager $session = null): mixed
    {
        return ($session ?? $this->session())->createQuery($dql)->setParameters($parameters)->execute();
    }

    private function titles(iterable $books): array
    {
        return array_values(array_map(fn ($book) => $book->title, is_array($books) ? $books : iterator_to_array($books)));
    }

    private function count(int $author, ?EntityManager $session = null): int
    {
        return ($session ?? $this->session())->getRepository(Book::class)->count(['author' => $author]);
    }

    public function crud(): array
    {
        $this->write('Ann');
        $this->write('Bob');
        $session = $this->session();
        $ann = $this->find($session, 'Ann');
        $answer = [$ann->name];
        $ann->name = 'Anna';
        $session->flush();
        $answer[] = $this->name('Ann');
        $session->remove($ann);
        $session->flush();
        array_push($answer, 1, $this->name('Ann'));
        $of = ['email' => email('Ann')];
        $answer[] = $this->dql("UPDATE Author a SET a.name = 'nobody' WHERE a.email = :email", $of);
        $answer[] = $this->dql('DELETE Author a WHERE a.email = :email', $of);
        $this->write('Ann');
        $answer[] = refused('unique', UniqueConstraintViolationException::class, fn () => $this->write('Ann'));
        $answer[] = $this->names('Ann', 'Bob');
        return $answer;
    }

    public function relations(): array
    {
        $cyd = $this->write('Cyd', 'A', 'B', 'C');
        $every = ['every' => [$cyd, $this->write('Dan', 'D'), $this->write('Eve')]];
        $this->dql("DELETE Book b WHERE b.title = 'B'", []);
        $authors = 'FROM Author a WHERE a.id IN (:every) ORDER BY a.id';
        $told = fn (array $list) => array_map(fn ($author) => [$author->name, $this->titles($author->books)], $list);
        $joined = $this->dql('SELECT a, b FROM Author a LEFT JOIN a.books b WHERE a.id IN (:every) ORDER BY a.id, b.id', $every);
        $answer = [$told($joined), $told($this->dql("SELECT a $authors", $every))];
        $session = $this->session();
        $author = $this->find($session, 'Cyd');
        $answer[] = $this->titles($author->books);
        $answer[] = $this->session()->getRepository(Book::class)->findOneBy(['title' => 'D'])->author->name;
        $session->remove($author);
        $session->flush();
        $answer[] = $this->titles($this->dql('SELECT b FROM Book b WHERE b.author IN (:every)', $every));
        $answer[] = refused('foreign key', ForeignKeyConstraintViolationException::class, function () use ($cyd) {
            $session = $this->session();
            $session->persist(new Book($session->getReference(Author::class, $cyd), 'E', 1));
            $session->flush();
        });
        return $answer;
    }

    public function bulk_delete(): array
    {
        $fay = $this->write('Fay', 'F1', 'F2', 'F3', 'F4', 'F5', 'F6');
        $of = ['author' => $fay];
        $delete = 'DELETE Book b WHERE b.author = :author';
        return [
            $this->dql("$delete AND b.price > 4", $of), $this->dql("$delete AND b.price > 4", $of),
            $this->dql('UPDATE Book b SET b.price = b.price * 10 WHERE b.author = :author AND b.price >= 3', $of),
            $this->dql("DELETE Book b WHERE b.price < 3 AND b.author IN (SELECT a.id FROM Author a WHERE a.name = 'Fay')", []),
            $this->count($fay), $this->dql($delete, $of), $this->count($fay),
        ];
    }

    public function transactions(): array
    {
        $gus = $this->write('Gus', 'G1', 'G2', 'G3');
        $of = ['author' => $gus];
        $delete = 'DELETE Book b WHERE b.author = :author';
        $session = $this->session();
        $connection = $session->getConnection();
        $count = fn () => $this->count($gus, $session);
        $answer = [];

        $connection->beginTransaction();
        $this->dql($delete, $of, $session);
        array_push($answer, $count(), $this->count($gus));
        $connection->rollBack();
        $answer[] = $count();

        $connection->beginTransaction();
        $this->dql("$delete AND b.title = 'G1'", $of, $session);
        $undone = function () use ($delete, $of, $session, $count, &$answer) {
            $this->dql($delete, $of, $session);
            $answer[] = $count();
            throw new Undone();
        };
        refused('undone', Undone::class, fn () => $connection->transactional($undone));
        $answer[] = $count();
        $connection->commit();
        $answer[] = $count();

        $connection->beginTransaction();
        $answer[] = refused('unique', UniqueConstraintViolationException::class, fn () => $connection->transactional(
            fn () => $connection->insert('authors', ['id' => 0, 'email' => email('Gus'), 'name' => 'Gus', 'version' => 1])));
        $this->dql("$delete AND b.title = 'G2'", $of, $session);
        $connection->commit();
        $answer[] = $this->count($gus);
        return $answer;
    }

    public function lock(): array
    {
        $this->write('Hal');
        $save = function (EntityManager $session, Author $author, string $name): string {
            $author->name = $name;
            try {
                $session->flush();
                return 'saved';
            } catch (OptimisticLockException) {
                return 'stale';
            }
        };
        [$mine, $theirs] = [$this->session(), $this->session()];
        [$my, $their] = [$this->find($mine, 'Hal'), $this->find($theirs, 'Hal')];
        $answer = [$save($theirs, $their, 'theirs'), $save($mine, $my, 'mine')];
        $fresh = $this->session();
        $author = $this->find($fresh, 'Hal');
        array_push($answer, $author->name, $save($fresh, $author, 'mine'), $this->name('Hal'));
        return $answer;
    }

    public function pages(): array
    {
        $kim = $this->write('Kim', ...array_map(fn ($number) => sprintf('P%02d', $number), range(1, 12)));
        $this->dql("DELETE Book b WHERE b.author = :author AND b.title IN ('P03', 'P07')", ['author' => $kim]);
        $session = $this->session();
        $books = fn (string $last) => $session->createQuery(
            'SELECT b FROM Book b WHERE b.author = :author AND b.title > :last ORDER BY b.title')
            ->setParameters(['author' => $kim, 'last' => $last])->setMaxResults(4);
        $offset = $totals = $keyset = [];
        foreach ([0, 4, 8] as $start) {
            $paginator = new Paginator($books('')->setFirstResult($start));
            $offset[] = $this->titles($paginator);
            $totals[] = count($paginator);
        }
        for ($last = ''; $page = $this->titles($books($last)->getResult()); $last = end($page)) {
            $keyset[] = $page;
        }
        return [$offset, ...array_unique($totals), $keyset];
    }

    public function clear(): void
    {
        $this->dql('DELETE Book b', []);
        $this->dql('DELETE Author a', []);
    }

    public function lookups(): array
    {
        $this->write('Lea');
        $query = $this->session()->getConnection()->prepare('SELECT name FROM authors WHERE email = ?');
        $query->bindValue(1, email('Lea'));
        $found = [];
        for ($i = 1; $i <= 12; $i++) {
            $found[] = $query->executeQuery()->fetchOne() ?: null;
            if ($i === 6) {
                $this->dql('DELETE Author a WHERE a.email = :email', ['email' => email('Lea')]);
            }
            if ($i === 9) {
                $this->write('Lea');
            }
        }
        return $found;
    }
}

play('doctrine', 'php-doctrine-orm', Doctrine::class, [
    'schema' => 'By its `SchemaTool`; [schema diffs](doc/orms.md#schema-diffs).',
    'upsert' => 'It has none; `executeStatement()` sends yours.',
]);
