<?php
/*
 * Laravel's Eloquent: models that know of no soft deletion, its migrations.
 */

declare(strict_types=1);

require_once 'Illuminate/Database/autoload.php';
require_once __DIR__ . '/play.php';

use Illuminate\Database\Capsule\Manager as Capsule;
use Illuminate\Database\Eloquent\Builder;
use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\Relations\BelongsTo;
use Illuminate\Database\Eloquent\Relations\HasMany;
use Illuminate\Database\Migrations\DatabaseMigrationRepository;
use Illuminate\Database\Migrations\Migrator;
use Illuminate\Database\QueryException;
use Illuminate\Filesystem\Filesystem;

class Author extends Model
{
    protected $table = 'authors';
    protected $guarded = [];

    public function books(): HasMany
    {
        return $this->hasMany(Book::class)->orderBy('id');
    }
}

class Book extends Model
{
    public $timestamps = false;
    protected $table = 'books';
    protected $guarded = [];

    public function author(): BelongsTo
    {
        return $this->belongsTo(Author::class);
    }
}

class Eloquent extends Play
{
    private Capsule $capsule;

    public function __construct(string $database, int $port, bool $prepare)
    {
        parent::__construct($database, $port, $prepare);
        $this->capsule = new Capsule();
        foreach (['default', 'other'] as $name) {
            $this->capsule->addConnection([
                'driver' => 'pgsql', 'host' => getenv('PGHOST'), 'port' => $port, 'username' => getenv('PGUSER'),
                'database' => $database, 'charset' => 'utf8', 'options' => [PDO::ATTR_EMULATE_PREPARES => !$prepare],
            ], $name);
        }
        $this->capsule->setAsGlobal();
        $this->capsule->bootEloquent();
    }

    /** Up, down and up again. */
    public function schema(): array
    {
        $resolver = $this->capsule->getDatabaseManager();
        $done = new DatabaseMigrationRepository($resolver, 'migrations');
        $done->createRepository();
        $migrator = new Migrator($done, $resolver, new Filesystem());
        $files = [__DIR__ . '/migrations'];
        $tables = fn () => array_map([Capsule::schema(), 'hasTable'], ['authors', 'books']);
        $migrator->run($files);
        $answer = [$tables()];
        $migrator->reset($files);
        $answer[] = $tables();
        $migrator->run($files);
        return [...$answer, $tables(), Capsule::schema()->hasColumn('books', 'pages')];
    }

    private function write(string $name, string ...$titles): Author
    {
        return Capsule::connection()->transaction(function () use ($name, $titles) {
            $author = Author::create(['email' => email($name), 'name' => $name]);
            $author->books()->createMany(
                array_map(fn ($title, $i) => ['title' => $title, 'price' => $i + 1], $titles, array_keys($titles)));
            return $author;
        });
    }

    private function find(string $name): ?Author
    {
        return Author::firstWhere('email', email($name));
    }

    private function names(string ...$of): array
    {
        return Author::whereIn('email', array_map('email', $of))->orderBy('email')->pluck('name')->all();
    }

    public function crud(): array
    {
        $this->write('Ann');
        $this->write('Bob');
        $ann = $this->find('Ann');
        $answer = [$ann->name];
        $ann->update(['name' => 'Anna']);
        array_push($answer, $this->find('Ann')->name, $ann->delete() ? 1 : 0, $this->find('Ann'));
        $gone = Author::where('email', email('Ann'));
        array_push($answer, $gone->update(['name' => 'nobody']), $gone->delete());
        $this->write('Ann');
        $answer[] = refused('unique', QueryException::class, fn () => $this->write('Ann'));
        $answer[] = $this->names('Ann', 'Bob');
        return $answer;
    }

    public function relations(): array
    {
        $cyd = $this->write('Cyd', 'A', 'B', 'C');
        $every = [$cyd->id, $this->write('Dan', 'D')->id, $this->write('Eve')->id];
        Book::firstWhere('title', 'B')->delete();
        $joined = Author::leftJoin('books', 'books.author_id', '=', 'authors.id')->whereIn('authors.id', $every)
            ->orderBy('authors.id')->orderBy('books.id')->get(['name', 'title'])->groupBy('name');
        $eager = Author::with('books')->whereKey($every)->orderBy('id')->get();
        $titles = fn ($books) => $books->pluck('title')->filter()->values()->all();
        $answer = [
            $joined->map(fn ($rows, $name) => [$name, $titles($rows)])->values()->all(),
            $eager->map(fn ($author) => [$author->name, $titles($author->books)])->all(),
            $titles($this->find('Cyd')->books), Book::firstWhere('title', 'D')->author->name,
        ];
        $cyd->delete();
        $answer[] = $titles(Book::whereIn('author_id', $every)->get());
        $answer[] = refused('foreign key', QueryException::class,
            fn () => Book::create(['author_id' => $cyd->id, 'title' => 'E', 'price' => 1]));
        return $answer;
    }

    public function bulk_delete(): array
    {
        $books = fn () => $this->find('Fay')->books()->getQuery();
        $this->write('Fay', 'F1', 'F2', 'F3', 'F4', 'F5', 'F6');
        return [
            $books()->where('price', '>', 4)->delete(), $books()->where('price', '>', 4)->delete(),
            $books()->where('price', '>=', 3)->update(['price' => Capsule::raw('price * 10')]),
            // By ctid, since there is a join.
            Book::join('authors', 'authors.id', '=', 'author_id')->where('name', 'Fay')->where('price', '<', 3)->delete(),
            $books()->count(), $books()->delete(), $books()->count(),
        ];
    }

    public function transactions(): array
    {
        $gus = $this->write('Gus', 'G1', 'G2', 'G3');
        $books = fn (?string $in = null): Builder => Book::on($in)->where('author_id', $gus->id);
        $connection = Capsule::connection();
        $answer = [];
        $undone = function (Builder ...$outside) use ($connection, $books, &$answer) {
            $connection->transaction(function () use ($outside, $books, &$answer) {
                $books()->delete();
                array_push($answer, $books()->count(), ...array_map(fn ($query) => $query->count(), $outside));
                throw new Undone();
            });
        };
        refused('undone', Undone::class, fn () => $undone($books('other')));
        $answer[] = $books()->count();
        $connection->transaction(function () use ($books, $undone, &$answer) {
            $books()->where('title', 'G1')->delete();
            refused('undone', Undone::class, $undone);
            $answer[] = $books()->count();
        });
        $answer[] = $books()->count();
        $connection->transaction(function () use ($books, &$answer) {
            $answer[] = refused('unique', QueryException::class, fn () => $this->write('Gus'));
            $books()->where('title', 'G2')->delete();
        });
        return [...$answer, $books()->count()];
    }

    public function lock(): array
    {
        $this->write('Hal');
        $save = fn (Author $author, string $name) => Author::whereKey($author->id)->where('version', $author->version)
            ->increment('version', 1, ['name' => $name]) ? 'saved' : 'stale';
        [$mine, $theirs] = [$this->find('Hal'), $this->find('Hal')];
        $answer = [$save($theirs, 'theirs'), $save($mine, 'mine')];
        $mine->refresh();
        return [...$answer, $mine->name, $save($mine, 'mine'), $this->find('Hal')->name];
    }

    public function upsert(): array
    {
        $row = fn (string $key, string $name) => ['email' => email($key), 'name' => $name];
        $merge = fn (array ...$rows) => Author::upsert($rows, ['email'], ['name']);
        $answer = [];
        foreach (['Ivy', 'Ivy 2'] as $name) {
            $merge($row('Ivy', $name));
            $answer[] = $this->find('Ivy')->name;
        }
        $this->find('Ivy')->delete();
        $merge($row('Ivy', 'Ivy 3'));
        $answer[] = $this->find('Ivy')->name;
        Author::insertOrIgnore($row('Ivy', 'nobody'));
        $answer[] = $this->find('Ivy')->name;
        $merge($row('Ivy', 'Ivy 4'), $row('Jan', 'Jan'));
        return [...$answer, $this->names('Ivy', 'Jan')];
    }

    public function pages(): array
    {
        $kim = $this->write('Kim', ...array_map(fn ($number) => sprintf('P%02d', $number), range(1, 12)));
        $books = fn () => Book::where('author_id', $kim->id)->orderBy('title');
        $books()->whereIn('title', ['P03', 'P07'])->delete();
        $titles = fn ($page) => $page->getCollection()->pluck('title')->all();
        $offset = array_map(fn ($number) => $books()->paginate(4, ['*'], 'page', $number), [1, 2, 3]);
        $keyset = [];
        $cursor = null;
        do {
            $page = $books()->cursorPaginate(4, ['*'], 'cursor', $cursor);
            $keyset[] = $titles($page);
        } while ($cursor = $page->nextCursor());
        return [array_map($titles, $offset), $offset[0]->total(), $keyset];
    }

    public function clear(): void
    {
        Book::query()->delete();
        Author::query()->delete();
    }

    public function lookups(): array
    {
        $this->write('Lea');
        $found = [];
        for ($i = 1; $i <= 12; $i++) {
            $found[] = $this->find('Lea')?->name;
            if ($i === 6) {
                Author::where('email', email('Lea'))->delete();
            }
            if ($i === 9) {
                $this->write('Lea');
            }
        }
        return $found;
    }
}

play('eloquent', 'php-illuminate-database', Eloquent::class, [
    'lock' => 'By hand: the version in `WHERE`, and the count.',
]);
