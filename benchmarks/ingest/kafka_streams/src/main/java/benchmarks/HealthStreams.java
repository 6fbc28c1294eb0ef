package benchmarks;

import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** Usage events fold into one state per account, in RocksDB; every score goes to Postgres, in batches. */
public final class HealthStreams {
    private static final String STORE = "accounts";
    private static final Duration FLUSH_EVERY = Duration.ofMillis(100); // the commit interval of exactly_once_v2
    private static final AtomicBoolean SEEN = new AtomicBoolean();

    /** Arguments: bootstrap servers, topic, application id, folder for state, threads. The JDBC URL is in JDBC_URL. */
    public static void main(String[] arguments) throws InterruptedException {
        var store = Stores.keyValueStoreBuilder(
                        Stores.persistentKeyValueStore(STORE), Serdes.String(), Account.serde())
                .withCachingEnabled();
        var topology = new Topology()
                .addSource("usage", Serdes.String().deserializer(), Event.deserializer(), arguments[1])
                .addProcessor("fold", Fold::new, "usage")
                .addStateStore(store, "fold");
        var streams = new KafkaStreams(topology, settings(arguments));
        var ended = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            ended.countDown();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(20))));
        streams.start();
        ended.await();
        System.exit(1);
    }

    private static Properties settings(String[] arguments) {
        var settings = new Properties();
        settings.putAll(Map.of(
                StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0],
                StreamsConfig.APPLICATION_ID_CONFIG, arguments[2],
                StreamsConfig.STATE_DIR_CONFIG, arguments[3],
                StreamsConfig.NUM_STREAM_THREADS_CONFIG, arguments[4],
                StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2,
                StreamsConfig.REPLICATION_FACTOR_CONFIG, 1,
                StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64 * 1024 * 1024L,
                StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest"));
        return settings;
    }

    private static final class Fold implements Processor<String, Event, Void, Void> {
        private KeyValueStore<String, Account> accounts;
        private Scores scores;

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            accounts = context.getStateStore(STORE);
            scores = Scores.ofThisThread();
            context.schedule(FLUSH_EVERY, PunctuationType.WALL_CLOCK_TIME, now -> scores.flush());
        }

        @Override
        public void process(Record<String, Event> record) {
            if (SEEN.compareAndSet(false, true)) {
                System.out.println("first event at " + System.currentTimeMillis() / 1000.0);
            }
            var account = accounts.get(record.key());
            if (account == null) {
                account = new Account();
            }
            account.fold(record.value(), record.timestamp());
            accounts.put(record.key(), account);
            int today = Math.max((int) (System.currentTimeMillis() / Event.MILLIS_PER_DAY), account.newest);
            scores.put(record.key(), Scorecard.evaluate(account, today));
        }

        @Override
        public void close() {
            scores.flush();
        }
    }
}
