import java.sql.Array;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * JDBC: statements by hand, prepared, in batches.
 *
 * Plays what ../table describes, in each of the databases that the arguments name: directly, and
 * once more through the pooler, with prepared statements.  Prints one line for each feature:
 * database, feature, answer.
 */
public class Features implements AutoCloseable {

    private static final String[] STEPS = {
        "CREATE TABLE authors (id serial PRIMARY KEY, email text NOT NULL UNIQUE, name text NOT NULL,"
            + " version integer NOT NULL DEFAULT 1, created_at timestamptz NOT NULL DEFAULT now(),"
            + " updated_at timestamptz NOT NULL DEFAULT now(), deleted_at timestamptz)",
        "CREATE TABLE books (id serial PRIMARY KEY, author_id integer NOT NULL REFERENCES authors ON DELETE CASCADE,"
            + " title text NOT NULL, price integer NOT NULL, deleted_at timestamptz)",
        "CREATE INDEX ON books (author_id)",
        "ALTER TABLE books ADD COLUMN pages integer",
    };

    /** What returns an answer, or throws. */
    interface Scenario {
        Object play() throws SQLException;
    }

    private final Connection one;
    private final Connection two;
    private final PreparedStatement byEmail;

    Features(String database, String port, boolean prepare) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        // The driver names a statement when it is executed for this time; never, where it is 0.
        properties.setProperty("prepareThreshold", prepare ? "2" : "0");
        String url = "jdbc:postgresql://127.0.0.1:" + port + "/" + database;
        one = DriverManager.getConnection(url, properties);
        two = DriverManager.getConnection(url, properties);
        byEmail = one.prepareStatement("SELECT name FROM authors WHERE email = ?");
    }

    @Override
    public void close() throws SQLException {
        one.close();
        two.close();
    }

    private static String email(String name) {
        return name.toLowerCase() + "@example.org";
    }

    private static void bind(PreparedStatement statement, Object... parameters) throws SQLException {
        for (int i = 0; i < parameters.length; i++) {
            if (parameters[i] instanceof Object[] array) {
                String type = array.length > 0 && array[0] instanceof Integer ? "integer" : "text";
                statement.setArray(i + 1, statement.getConnection().createArrayOf(type, array));
            } else {
                statement.setObject(i + 1, parameters[i]);
            }
        }
    }

    private int changed(String sql, Object... parameters) throws SQLException {
        try (PreparedStatement statement = one.prepareStatement(sql)) {
            bind(statement, parameters);
            return statement.executeUpdate();
        }
    }

    private static List<Object> row(ResultSet rows) throws SQLException {
        List<Object> values = new ArrayList<>();
        for (int i = 1; i <= rows.getMetaData().getColumnCount(); i++) {
            Object value = rows.getObject(i);
            values.add(value instanceof Array array ? Arrays.asList((Object[]) array.getArray()) : value);
        }
        return values;
    }

    private static List<List<Object>> rows(Connection on, String sql, Object... parameters) throws SQLException {
        try (PreparedStatement statement = on.prepareStatement(sql)) {
            bind(statement, parameters);
            List<List<Object>> list = new ArrayList<>();
            try (ResultSet rows = statement.executeQuery()) {
                while (rows.next()) {
                    list.add(row(rows));
                }
            }
            return list;
        }
    }

    private List<Object> values(String sql, Object... parameters) throws SQLException {
        return rows(one, sql, parameters).stream().map(row -> row.get(0)).collect(Collectors.toList());
    }

    private Object name(String of) throws SQLException {
        byEmail.setString(1, email(of));
        try (ResultSet rows = byEmail.executeQuery()) {
            return rows.next() ? rows.getString(1) : null;
        }
    }

    private List<Object> names(String... of) throws SQLException {
        Object[] emails = Arrays.stream(of).map(Features::email).toArray();
        return values("SELECT name FROM authors WHERE email = ANY (?) ORDER BY email", (Object) emails);
    }

    private static Object count(Connection on, int author) throws SQLException {
        return rows(on, "SELECT count(*) FROM books WHERE author_id = ?", author).get(0).get(0);
    }

    private int write(String name, String... titles) throws SQLException {
        int author;
        try (PreparedStatement statement = one.prepareStatement(
                "INSERT INTO authors (email, name) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
            bind(statement, email(name), name);
            statement.executeUpdate();
            try (ResultSet keys = statement.getGeneratedKeys()) {
                keys.next();
                author = keys.getInt("id");
            }
        }
        try (PreparedStatement batch = one.prepareStatement("INSERT INTO books (author_id, title, price) VALUES (?, ?, ?)")) {
            for (int i = 0; i < titles.length; i++) {
                bind(batch, author, titles[i], i + 1);
                batch.addBatch();
            }
            batch.executeBatch();
        }
        return author;
    }

    private static String refused(String word, String state, Scenario scenario) throws SQLException {
        try {
            scenario.play();
        } catch (SQLException error) {
            if (error.getSQLState().equals(state)) {
                return word;
            }
            throw error;
        }
        throw new IllegalStateException(state + " was not thrown");
    }

    private static List<Object> list(Object... values) {
        return Arrays.asList(values);
    }

    Object schema() throws SQLException {
        List<String> steps = new ArrayList<>(Arrays.asList(STEPS));
        steps.add("DROP TABLE books, authors");
        steps.addAll(Arrays.asList(STEPS));
        try (Statement statement = one.createStatement()) {
            for (String step : steps) {
                statement.execute(step);
            }
        }
        List<Object> tables = new ArrayList<>();
        try (ResultSet found = one.getMetaData().getTables(null, "public", null, new String[] {"TABLE"})) {
            while (found.next()) {
                tables.add(found.getString("TABLE_NAME"));
            }
        }
        return tables;
    }

    Object crud() throws SQLException {
        write("Ann");
        write("Bob");
        String delete = "DELETE FROM authors WHERE email = ?";
        String update = "UPDATE authors SET name = ? WHERE email = ?";
        Object first = name("Ann");
        changed(update, "Anna", email("Ann"));
        List<Object> answer = new ArrayList<>(list(first, name("Ann"), changed(delete, email("Ann")), name("Ann"),
            changed(update, "nobody", email("Ann")), changed(delete, email("Ann"))));
        write("Ann");
        answer.add(refused("unique", "23505", () -> write("Ann")));
        answer.add(names("Ann", "Bob"));
        return answer;
    }

    Object relations() throws SQLException {
        int cyd = write("Cyd", "A", "B", "C");
        Object[] every = {cyd, write("Dan", "D"), write("Eve")};
        changed("DELETE FROM books WHERE title = 'B'");
        Object joined = rows(one, "SELECT a.name, array_remove(array_agg(b.title ORDER BY b.id), NULL) FROM authors AS a"
            + " LEFT JOIN books AS b ON b.author_id = a.id WHERE a.id = ANY (?) GROUP BY a.id ORDER BY a.id", (Object) every);
        Object selected = rows(one, "SELECT name, ARRAY(SELECT title FROM books WHERE author_id = a.id ORDER BY id)"
            + " FROM authors AS a WHERE id = ANY (?) ORDER BY id", (Object) every);
        Object titles = values("SELECT title FROM books WHERE author_id = ? ORDER BY title", cyd);
        Object author = values("SELECT name FROM authors AS a JOIN books AS b ON b.author_id = a.id WHERE title = 'D'").get(0);
        changed("DELETE FROM authors WHERE id = ?", cyd);
        return list(joined, selected, titles, author,
            values("SELECT title FROM books WHERE author_id = ANY (?)", (Object) every),
            refused("foreign key", "23503",
                () -> changed("INSERT INTO books (author_id, title, price) VALUES (?, 'E', 1)", cyd)));
    }

    Object bulkDelete() throws SQLException {
        int fay = write("Fay", "F1", "F2", "F3", "F4", "F5", "F6");
        String delete = "DELETE FROM books WHERE author_id = ?";
        return list(changed(delete + " AND price > 4", fay), changed(delete + " AND price > 4", fay),
            changed("UPDATE books SET price = price * 10 WHERE author_id = ? AND price >= 3", fay),
            changed("DELETE FROM books USING authors AS a WHERE a.id = author_id AND name = 'Fay' AND price < 3"),
            count(one, fay), changed(delete, fay), count(one, fay));
    }

    Object transactions() throws SQLException {
        int gus = write("Gus", "G1", "G2", "G3");
        String delete = "DELETE FROM books WHERE author_id = ?";
        List<Object> answer = new ArrayList<>();
        one.setAutoCommit(false);
        changed(delete, gus);
        answer.addAll(list(count(one, gus), count(two, gus)));
        one.rollback();
        answer.add(count(one, gus));

        changed(delete + " AND title = 'G1'", gus);
        Savepoint savepoint = one.setSavepoint();
        changed(delete, gus);
        answer.add(count(one, gus));
        one.rollback(savepoint);
        answer.add(count(one, gus));
        one.commit();
        answer.add(count(one, gus));

        savepoint = one.setSavepoint();
        answer.add(refused("unique", "23505", () -> write("Gus")));
        one.rollback(savepoint);
        changed(delete + " AND title = 'G2'", gus);
        one.commit();
        one.setAutoCommit(true);
        answer.add(count(one, gus));
        return answer;
    }

    private String save(int version, String name) throws SQLException {
        int saved = changed("UPDATE authors SET name = ?, version = version + 1 WHERE email = ? AND version = ?",
            name, email("Hal"), version);
        return saved == 1 ? "saved" : "stale";
    }

    Object lock() throws SQLException {
        write("Hal");
        String select = "SELECT version FROM authors WHERE email = ?";
        int mine = (Integer) values(select, email("Hal")).get(0);
        int theirs = (Integer) rows(two, select, email("Hal")).get(0).get(0);
        List<Object> answer = new ArrayList<>(list(save(theirs, "theirs"), save(mine, "mine"), name("Hal")));
        answer.addAll(list(save((Integer) values(select, email("Hal")).get(0), "mine"), name("Hal")));
        return answer;
    }

    Object upsert() throws SQLException {
        String insert = "INSERT INTO authors (email, name) VALUES (?, ?)";
        String update = " ON CONFLICT (email) DO UPDATE SET name = excluded.name";
        List<Object> answer = new ArrayList<>();
        for (String name : new String[] {"Ivy", "Ivy 2"}) {
            changed(insert + update, email("Ivy"), name);
            answer.add(name("Ivy"));
        }
        changed("DELETE FROM authors WHERE email = ?", email("Ivy"));
        changed(insert + update, email("Ivy"), "Ivy 3");
        answer.add(name("Ivy"));
        changed(insert + " ON CONFLICT DO NOTHING", email("Ivy"), "nobody");
        answer.add(name("Ivy"));
        try (PreparedStatement batch = one.prepareStatement(insert + update)) {
            for (String[] row : new String[][] {{"Ivy", "Ivy 4"}, {"Jan", "Jan"}}) {
                bind(batch, email(row[0]), row[1]);
                batch.addBatch();
            }
            batch.executeBatch();
        }
        answer.add(names("Ivy", "Jan"));
        return answer;
    }

    Object pages() throws SQLException {
        int kim = write("Kim", IntStream.rangeClosed(1, 12).mapToObj(i -> String.format("P%02d", i)).toArray(String[]::new));
        changed("DELETE FROM books WHERE author_id = ? AND title = ANY (?)", kim, new Object[] {"P03", "P07"});
        String select = "SELECT title FROM books WHERE author_id = ? ";
        List<Object> offset = new ArrayList<>();
        for (int start = 0; start <= 8; start += 4) {
            offset.add(values(select + "ORDER BY title LIMIT 4 OFFSET ?", kim, start));
        }
        List<Object> keyset = new ArrayList<>();
        List<Object> page;
        for (Object last = ""; !(page = values(select + "AND title > ? ORDER BY title LIMIT 4", kim, last)).isEmpty();
                last = page.get(page.size() - 1)) {
            keyset.add(page);
        }
        return list(offset, count(one, kim), keyset);
    }

    /** A row twelve times, which is deleted after the sixth, and made again after the ninth. */
    Object prepared() throws SQLException {
        List<Object> found = new ArrayList<>();
        write("Lea");
        for (int i = 1; i <= 12; i++) {
            found.add(name("Lea"));
            if (i == 6) {
                changed("DELETE FROM authors WHERE email = ?", email("Lea"));
            }
            if (i == 9) {
                write("Lea");
            }
        }
        return found;
    }

    private Map<String, Scenario> features() {
        Map<String, Scenario> features = new LinkedHashMap<>();
        features.put("crud", this::crud);
        features.put("relations", this::relations);
        features.put("bulk_delete", this::bulkDelete);
        features.put("transactions", this::transactions);
        features.put("lock", this::lock);
        features.put("upsert", this::upsert);
        features.put("pages", this::pages);
        return features;
    }

    private static String json(Object value) {
        if (value instanceof List<?> values) {
            return values.stream().map(Features::json).collect(Collectors.joining(", ", "[", "]"));
        }
        if (value == null || value instanceof Number) {
            return String.valueOf(value);
        }
        return '"' + value.toString().replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + '"';
    }

    private static boolean failed = false;

    private static String tell(String database, String feature, Scenario scenario) {
        String answer;
        try {
            answer = json(scenario.play());
        } catch (SQLException | RuntimeException error) {
            failed = true;
            answer = "{\"error\": " + json(error.toString()) + "}";
        }
        System.out.println(database + "\t" + feature + "\t" + answer);
        return answer;
    }

    private static Map<String, String> direct(String database) throws SQLException {
        Map<String, String> answers = new LinkedHashMap<>();
        try (Features client = new Features(database, System.getenv("PGPORT"), true)) {
            tell(database, "schema", client::schema);
            client.features().forEach((feature, scenario) -> answers.put(feature, tell(database, feature, scenario)));
            client.changed("DELETE FROM books");
            client.changed("DELETE FROM authors");
        }
        return answers;
    }

    /** Everything again, by other sessions in each transaction. */
    private static void pooled(String database, Map<String, String> answers) throws SQLException {
        boolean prepare = "yes".equals(System.getenv("ORM_EXT_POOLER_PREPARES"));
        try (Features client = new Features(database, System.getenv("ORM_EXT_POOLER_PORT"), prepare)) {
            tell(database, "pgbouncer", () -> {
                for (Map.Entry<String, Scenario> feature : client.features().entrySet()) {
                    String again = json(feature.getValue().play());
                    if (!again.equals(answers.get(feature.getKey()))) {
                        throw new IllegalStateException(feature.getKey() + ": " + again);
                    }
                }
                return client.prepared();
            });
        }
    }

    public static void main(String[] databases) throws SQLException {
        System.out.println("# postgresql-jdbc " + org.postgresql.util.DriverInfo.DRIVER_VERSION);
        System.out.println("# java " + System.getProperty("java.version"));
        for (String[] note : new String[][] {{"schema", "Statements by hand."}, {"relations", "Joins by hand."},
                {"lock", "By hand: the version in `WHERE`, and the count."}}) {
            System.out.println("note\t" + note[0] + "\t" + note[1]);
        }
        for (String database : databases) {
            Map<String, String> answers = direct(database);
            if (System.getenv("ORM_EXT_POOLER_PORT") != null) {
                pooled(database, answers);
            }
        }
        System.exit(failed ? 1 : 0);
    }
}
