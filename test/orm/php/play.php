<?php
/*
 * Plays what ../table describes, in each of the databases that the arguments name: directly, and
 * once more through the pooler, with prepared statements.  Prints one line for each feature:
 * database, feature, answer.
 */

declare(strict_types=1);

const FEATURES = ['crud', 'relations', 'bulk_delete', 'transactions', 'lock', 'upsert', 'pages'];

class Undone extends Exception
{
}

/** The scenarios of one client, in one of the databases; it may have no upsert(). */
abstract class Play
{
    public function __construct(protected string $database, protected int $port, protected bool $prepare)
    {
    }

    /** Makes the tables by its own migrations. */
    abstract public function schema(): array;

    /** Deletes all rows. */
    abstract public function clear(): void;

    /** A row twelve times, which is deleted after the sixth, and made again after the ninth. */
    abstract public function lookups(): array;
}

function email(string $name): string
{
    return strtolower($name) . '@example.org';
}

/** The word, where the action throws this. */
function refused(string $word, string $class, callable $action): string
{
    try {
        $action();
    } catch (Throwable $error) {
        if ($error instanceof $class) {
            return $word;
        }
        throw $error;
    }
    throw new LogicException("$class was not thrown");
}

/** Of a package, as it comes. */
function version(string $package): string
{
    $version = trim((string) shell_exec("dpkg-query -W -f '\${Version}' " . escapeshellarg($package) . ' 2>/dev/null'));
    return preg_replace('/[^0-9.].*/', '', $version);
}

function tell(string $database, string $feature, callable $scenario): mixed
{
    try {
        $answer = $scenario();
    } catch (Throwable $error) {
        $GLOBALS['failed'] = true;
        $answer = ['error' => $error->getMessage()];
        $lines = explode("\n", $error->getMessage() . "\n" . $error->getTraceAsString());
        echo implode("\n", array_map(fn ($line) => "# $line", array_slice($lines, 0, 8))), "\n";
    }
    echo $database, "\t", $feature, "\t", json_encode($answer), "\n";
    return $answer;
}

function play_in(string $database, string $class): void
{
    $client = new $class($database, (int) getenv('PGPORT'), true);
    tell($database, 'schema', [$client, 'schema']);
    $answers = [];
    foreach (FEATURES as $feature) {
        if (method_exists($client, $feature)) {
            $answers[$feature] = tell($database, $feature, [$client, $feature]);
        }
    }
    $client->clear();
    if (!getenv('ORM_EXT_POOLER_PORT')) {
        return;
    }
    // Everything again, by other sessions in each transaction.
    $client = new $class($database, (int) getenv('ORM_EXT_POOLER_PORT'), getenv('ORM_EXT_POOLER_PREPARES') === 'yes');
    tell($database, 'pgbouncer', function () use ($client, $answers) {
        foreach ($answers as $feature => $expected) {
            $again = $client->$feature();
            if ($again !== $expected) {
                throw new LogicException("$feature: " . json_encode($again));
            }
        }
        return $client->lookups();
    });
}

/** A client is a class that is a Play; notes are what the table has to say of a feature. */
function play(string $title, string $package, string $class, array $notes): never
{
    // What comes from packages is older than PHP here and there.
    error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED);
    echo "# $title ", version($package), "\n# php ", PHP_MAJOR_VERSION, '.', PHP_MINOR_VERSION, "\n";
    foreach ($notes as $feature => $text) {
        echo "note\t$feature\t$text\n";
    }
    foreach (array_slice($GLOBALS['argv'], 1) as $database) {
        play_in($database, $class);
    }
    exit(isset($GLOBALS['failed']) ? 1 : 0);
}
