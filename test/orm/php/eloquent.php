<?php
/*
 * Laravel's SoftDeletes: a soft deletion of its own, on tables that have orm_ext's.
 *
 * Each scenario is played on two databases.  In the plain one the trait marks and filters; in the
 * managed one the server does as well, and must not be noticed: the same answer by the same
 * statements, the same rows afterwards.  Where it has to be noticed, a scenario is played in the
 * managed one alone, and says why.  Connection parameters come from PGHOST and so on.
 */

declare(strict_types=1);

require_once 'Illuminate/Database/autoload.php';

use Illuminate\Database\Capsule\Manager as Capsule;
use Illuminate\Database\Eloquent\Builder;
use Illuminate\Database\Eloquent\MassPrunable;
use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\ModelNotFoundException;
use Illuminate\Database\Eloquent\Relations\BelongsTo;
use Illuminate\Database\Eloquent\Relations\HasMany;
use Illuminate\Database\Eloquent\SoftDeletes;
use Illuminate\Database\QueryException;
use Illuminate\Database\Schema\Blueprint;

// Sees and really deletes everything, by its settings; see test/orm/run.
const OWN_BIN_ROLE = 'shop_with_own_bin';

class Account extends Model
{
    use SoftDeletes;

    protected $table = 'accounts';
    protected $guarded = [];

    public function articles(): HasMany
    {
        return $this->hasMany(Article::class)->orderBy('id');
    }
}

class Article extends Model
{
    use MassPrunable;
    use SoftDeletes;

    protected $table = 'articles';
    protected $guarded = [];
    protected $touches = ['account'];

    public function account(): BelongsTo
    {
        return $this->belongsTo(Account::class);
    }

    public function prunable(): Builder
    {
        return static::withTrashed()->where('deleted_at', '<=', '2001-01-01');
    }
}

/** One of the databases, as one role sees it. */
class Side
{
    public readonly string $database;

    public function __construct(private string $kind, private ?string $role = null)
    {
        $this->database = 'eloquent_' . $kind;
    }

    public function connect(): void
    {
        $capsule = new Capsule();
        $capsule->addConnection([
            'driver' => 'pgsql', 'host' => getenv('PGHOST'), 'port' => getenv('PGPORT'), 'charset' => 'utf8',
            'username' => $this->role ?? getenv('PGUSER'), 'database' => $this->database,
        ]);
        $capsule->setAsGlobal();
        $capsule->bootEloquent();
    }

    public function psql(string $statement): string
    {
        exec('psql -XAtq -v ON_ERROR_STOP=1 -c ' . escapeshellarg($statement) . " $this->database 2>&1", $lines, $status);
        if ($status !== 0) {
            throw new RuntimeException(implode("\n", $lines));
        }
        return implode("\n", $lines);
    }

    public function create(): void
    {
        $this->connect();
        Capsule::schema()->create('accounts', function (Blueprint $table) {
            $table->id();
            $table->string('email')->unique();
            $table->timestamps();
            $table->softDeletes();
        });
        Capsule::schema()->create('articles', function (Blueprint $table) {
            $table->id();
            $table->foreignId('account_id')->constrained('accounts')->onDelete('cascade');
            $table->string('title');
            $table->integer('views');
            $table->timestamps();
            $table->softDeletes();
        });
        if ($this->kind === 'managed') {
            $this->psql("SELECT orm_ext.manage(t) FROM unnest('{accounts, articles}'::regclass[]) AS t");
        }
    }

    /** The answer, the statements, what the application has afterwards; one article is deleted from the start. */
    public function play(callable $scenario): array
    {
        $this->psql(($this->kind === 'managed' ? "SET orm_ext.delete_mode = 'hard';" : '') .
            "TRUNCATE accounts, articles RESTART IDENTITY;
             INSERT INTO accounts (email) VALUES ('ann@example.org'), ('bob@example.org');
             INSERT INTO articles (account_id, title, views, deleted_at)
             VALUES (1, 'Hello', 10, NULL), (1, 'World', 20, NULL), (2, 'Again', 30, NULL), (2, 'Draft', 40, '2000-02-02')");
        $this->connect();
        Capsule::connection()->enableQueryLog();
        $answer = $scenario($this);
        return [$answer, array_column(Capsule::connection()->getQueryLog(), 'query'), $this->rows()];
    }

    /** All that is live, and what is in the bin. */
    private function rows(): string
    {
        return $this->psql(($this->kind === 'managed' ? "SET orm_ext.deleted_rows = 'show';" : '') .
            'SELECT id, email, deleted_at IS NULL FROM accounts ORDER BY id;
             SELECT id, account_id, title, views, deleted_at IS NULL FROM articles ORDER BY id');
    }
}

class Suite
{
    public int $passed = 0;
    public int $failed = 0;

    public function __construct()
    {
        (new Side('plain'))->create();
        (new Side('managed'))->create();
    }

    /** Plays on both databases, which must not differ; in the managed one, as that role. */
    public function twin(string $title, callable $scenario, ?string $role = null): void
    {
        $this->check($title, fn () => equal(
            (new Side('managed', $role))->play($scenario), (new Side('plain'))->play($scenario)));
    }

    /** As the role that has its bin for itself. */
    public function own(string $title, callable $scenario): void
    {
        $this->twin("own bin: $title", $scenario, OWN_BIN_ROLE);
    }

    public function managed(string $title, callable $scenario): void
    {
        $this->check($title, fn () => (new Side('managed'))->play($scenario));
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

function raises(string $class, callable $work): void
{
    try {
        $work();
    } catch (Throwable $error) {
        equal($error instanceof $class, true);
        return;
    }
    throw new RuntimeException("no $class");
}

function titles(Builder|HasMany $query): array
{
    return $query->orderBy('id')->pluck('title')->all();
}

function hello(): Article
{
    return Article::firstWhere('title', 'Hello');
}

/** The framework's, for MassPrunable. */
function event(): void
{
}

$suite = new Suite();

// --- what holds for everyone -----------------------------------------------------------------

$suite->twin('delete() marks, restore() takes it back', function () {
    $hello = hello();
    $answer = [$hello->delete(), $hello->trashed(), Article::find($hello->id), titles(Article::query())];
    return [...$answer, $hello->restore(), $hello->trashed(), titles(Article::query())];
});

$suite->twin('delete() by a condition, twice; restore() by one', function () {
    $some = fn () => Article::where('views', '<', 30);
    return [$some()->delete(), $some()->delete(), titles(Article::query()),
            Article::onlyTrashed()->where('views', '<', 15)->restore(), titles(Article::query())];
});

$suite->twin('onlyTrashed(), and restore() of what it found', function () {
    $draft = Article::onlyTrashed()->sole();
    return [$draft->trashed(), Article::onlyTrashed()->count(), $draft->restore(), titles(Article::query())];
});

$suite->twin('withTrashed()->restore() by a condition', fn () => [
    Article::withTrashed()->where('account_id', 2)->restore(), titles(Article::query())]);

$suite->twin('onlyTrashed()->forceDelete() is final', fn () => [
    Article::onlyTrashed()->forceDelete(), Article::onlyTrashed()->count()]);

$suite->twin('with(), withCount(), has(), whereHas(), doesntHave()', function () {
    hello()->delete();
    Article::where('title', 'Again')->delete();
    $emails = fn ($query) => $query->orderBy('id')->pluck('email')->all();
    return [
        Account::with('articles')->orderBy('id')->get()->map(fn ($a) => $a->articles->pluck('title'))->toArray(),
        Account::withCount('articles')->orderBy('id')->pluck('articles_count')->all(),
        $emails(Account::has('articles')), $emails(Account::doesntHave('articles')),
        $emails(Account::whereHas('articles', fn ($query) => $query->where('views', '>', 15))),
        Article::orderBy('id')->first()->account->email,
    ];
});

$suite->twin('delete() with a limit, by ctid', fn () => [
    Article::orderBy('id')->limit(2)->delete(), titles(Article::query())]);

$suite->twin('chunkById() that deletes as it goes', function () {
    $seen = [];
    Article::chunkById(1, function ($articles) use (&$seen) {
        foreach ($articles as $article) {
            $seen[] = $article->title;
            $article->delete();
        }
    });
    return [$seen, Article::count()];
});

$suite->twin('a transaction that is rolled back', function () {
    Capsule::connection()->beginTransaction();
    $answer = [Article::query()->delete(), Article::count()];
    Capsule::connection()->rollBack();
    return [...$answer, Article::count()];
});

$suite->twin('a model without the trait', function () {
    $table = fn () => Capsule::table('articles')->whereNull('deleted_at');
    return [$table()->where('title', 'Hello')->update(['deleted_at' => '2026-01-01']), $table()->count()];
});

// --- what the server cannot see ---------------------------------------------------------------

// Both only leave the condition of the trait out; the statement then says nothing of the marker.
$suite->managed('withTrashed() and refresh() find live rows', function () {
    $hello = hello();
    $hello->delete();
    equal(Article::withTrashed()->count(), 2);
    equal(Article::withTrashed()->find($hello->id), null);
    raises(ModelNotFoundException::class, fn () => $hello->refresh());
    // With a condition that says it.
    equal(Article::withTrashed()->whereRaw('orm_ext.with_deleted(deleted_at)')->count(), 4);
});

// It is a DELETE; it is final for what is deleted, where its own condition says so.
$suite->managed('forceDelete() is a soft delete', function (Side $side) {
    $hello = hello();
    $hello->forceDelete();
    equal(titles(Article::onlyTrashed()), ['Hello', 'Draft']);
    Article::onlyTrashed()->firstWhere('title', 'Draft')->forceDelete();
    equal(Article::onlyTrashed()->count(), 2);
    Capsule::connection()->transaction(function () {
        Capsule::statement("SET LOCAL orm_ext.delete_mode = 'hard'");
        Article::where('title', 'World')->sole()->forceDelete();
    });
    equal($side->psql('SELECT count(*) FROM articles WHERE orm_ext.with_deleted(deleted_at)'), '3');
});

// model:prune deletes by ctid, of what a sub-select has found: nothing live.  purge() is the server's.
$suite->managed('MassPrunable prunes nothing, purge() does', function (Side $side) {
    equal((new Article())->pruneAll(), 0);
    $side->psql("CALL orm_ext.purge('articles', older_than => '1 day')");
    equal(Article::onlyTrashed()->count(), 0);
});

// A mark is a delete, however it was set: the foreign key has ON DELETE CASCADE.  Taking it off is not restore().
$suite->managed('delete() takes along what refers to it', function (Side $side) {
    $account = Account::find(1);
    $account->delete();
    equal(titles(Article::query()), ['Again']);
    $account->restore();
    equal([Account::count(), titles(Article::query())], [2, ['Again']]);
    Article::onlyTrashed()->where('account_id', 1)->restore();
    $account->delete();
    equal($side->psql("SELECT * FROM orm_ext.restore('accounts', 1)"), "accounts|1\narticles|2");
    equal(titles($account->articles()), ['Hello', 'World']);
});

// On a plain table the address stays taken, or the row that nobody sees is written.
$suite->managed('unique among live rows', function () {
    Account::find(1)->delete();
    $again = ['email' => 'ann@example.org'];
    equal(Account::firstOrCreate($again)->id, 3);
    Account::find(3)->delete();
    equal(Account::upsert([$again], ['email'], ['email']), 1);
    equal(Account::where($again)->count(), 1);
    raises(QueryException::class, fn () => Account::onlyTrashed()->first()->restore());
});

// --- all of it, for the role that has deleted_rows = 'show' and delete_mode = 'hard' ----------

$suite->own('withTrashed(), refresh()', function () {
    $hello = hello();
    $hello->delete();
    return [Article::count(), titles(Article::withTrashed()), $hello->refresh()->trashed(),
            Account::withCount(['articles' => fn ($query) => $query->withTrashed()])->orderBy('id')->pluck('articles_count')->all()];
});

$suite->own('forceDelete() of a live one, and of a deleted one', function () {
    hello()->forceDelete();
    Article::withTrashed()->firstWhere('title', 'Draft')->forceDelete();
    return titles(Article::withTrashed());
});

$suite->own('forceDelete() cascades', fn () => [
    Account::find(2)->forceDelete(), titles(Article::withTrashed())]);

$suite->own('MassPrunable', fn () => [(new Article())->pruneAll(), titles(Article::withTrashed())]);

echo "$suite->passed passed, $suite->failed failed\n";
exit($suite->failed > 0 ? 1 : 0);
