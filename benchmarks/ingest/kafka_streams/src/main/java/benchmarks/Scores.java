package benchmarks;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Types;
import java.time.LocalDate;
import java.util.LinkedHashMap;
import java.util.Map;

/** Scores on their way to Postgres: the newest of each account, written in one batch. One for each stream thread. */
final class Scores {
    private static final int MOST = 5000;
    private static final String UPSERT = """
            INSERT INTO scores (account_id, score, band, coverage, day, measures) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (account_id) DO UPDATE SET score = excluded.score, band = excluded.band,
                coverage = excluded.coverage, day = excluded.day, measures = excluded.measures""";
    private static final ThreadLocal<Scores> OF_THREAD = ThreadLocal.withInitial(Scores::new);

    private final Map<String, Scorecard.Score> waiting = new LinkedHashMap<>();
    private final Connection connection;
    private final PreparedStatement upsert;

    static Scores ofThisThread() {
        return OF_THREAD.get();
    }

    private Scores() {
        try {
            connection = DriverManager.getConnection(System.getenv("JDBC_URL"));
            connection.setAutoCommit(false);
            upsert = connection.prepareStatement(UPSERT);
        } catch (SQLException error) {
            throw new IllegalStateException(error);
        }
    }

    void put(String account, Scorecard.Score score) {
        waiting.put(account, score);
        if (waiting.size() >= MOST) {
            flush();
        }
    }

    void flush() {
        if (waiting.isEmpty()) {
            return;
        }
        try {
            for (var entry : waiting.entrySet()) {
                add(entry.getKey(), entry.getValue());
            }
            upsert.executeBatch();
            connection.commit();
            waiting.clear();
        } catch (SQLException error) {
            throw new IllegalStateException(error);
        }
    }

    private void add(String account, Scorecard.Score score) throws SQLException {
        upsert.setString(1, account);
        if (Double.isNaN(score.score())) {
            upsert.setNull(2, Types.DOUBLE);
        } else {
            upsert.setDouble(2, score.score());
        }
        upsert.setString(3, score.band());
        upsert.setDouble(4, score.coverage());
        upsert.setObject(5, LocalDate.ofEpochDay(score.day()));
        upsert.setObject(6, score.measures(), Types.OTHER);
        upsert.addBatch();
    }
}
