package benchmarks;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.time.OffsetDateTime;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;

/** A usage event as a CloudEvent. */
record Event(String specversion, String id, String source, String type, String subject, String time, Data data) {
    static final long MILLIS_PER_DAY = 86_400_000;

    record Data(String feature, String user_id, Integer quantity) {}

    private static final ObjectReader READER = new ObjectMapper()
            .configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false)
            .readerFor(Event.class);

    static Deserializer<Event> deserializer() {
        return (topic, bytes) -> {
            try {
                return READER.readValue(bytes);
            } catch (IOException error) {
                throw new SerializationException(error);
            }
        };
    }

    long atMillis() {
        return OffsetDateTime.parse(time).toInstant().toEpochMilli();
    }

    int quantity() {
        return data.quantity == null ? 1 : data.quantity;
    }

    /** A 64-bit hash of the user, so that a state holds no names; FNV-1a with a final mix. */
    long user() {
        long hash = 0xcbf29ce484222325L;
        for (int i = 0; i < data.user_id.length(); i++) {
            hash = (hash ^ data.user_id.charAt(i)) * 0x100000001b3L;
        }
        hash ^= hash >>> 32;
        return hash * 0xd6e8feb86659fd93L;
    }
}
