import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Base64;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Reads {bootstrap, topic, batches: [{codec, records: [{key, value, headers: [[name, value]]}]}]} from standard input, with
 * bytes in base64. Sends each batch in a transaction of its own, after the same records in one that it takes back.
 */
public final class Produce {
    public static void main(String[] arguments) throws Exception {
        JsonNode asked = new ObjectMapper().readTree(System.in);
        int taken = 0;
        for (JsonNode batch : asked.get("batches")) {
            String codec = batch.get("codec").asText();
            Map<String, Object> settings = Map.of(
                "bootstrap.servers", asked.get("bootstrap").asText(),
                "compression.type", codec,
                "linger.ms", 50,
                "transactional.id", asked.get("topic").asText() + "-" + codec);
            try (var producer =
                    new KafkaProducer<byte[], byte[]>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
                producer.initTransactions();
                send(producer, asked, batch);
                producer.flush();
                producer.abortTransaction();
                taken += send(producer, asked, batch);
                producer.commitTransaction();
            }
        }
        System.out.print(taken);
    }

    private static int send(KafkaProducer<byte[], byte[]> producer, JsonNode asked, JsonNode batch) {
        producer.beginTransaction();
        for (JsonNode each : batch.get("records")) {
            var record = new ProducerRecord<>(asked.get("topic").asText(), bytes(each.get("key")), bytes(each.get("value")));
            for (JsonNode header : each.get("headers")) {
                record.headers().add(header.get(0).asText(), bytes(header.get(1)));
            }
            producer.send(record);
        }
        return batch.get("records").size();
    }

    private static byte[] bytes(JsonNode text) {
        return text.isNull() ? null : Base64.getDecoder().decode(text.asText());
    }
}
