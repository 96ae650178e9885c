package ordeal.adapter;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** A KafkaProducer. Each record gets exactly one outcome, the first that the client tells. */
final class ProducerHost extends Host {
    private final KafkaProducer<byte[], byte[]> producer;
    private final AtomicBoolean fatal = new AtomicBoolean();

    ProducerHost(long id, Map<String, Object> config, Out out) {
        super(id, out);
        producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** A record on its way. `sending` is true while send() runs, and is only looked at by the thread that sends. */
    private final class Open {
        final long tag;
        final Thread sender = Thread.currentThread();
        boolean sending = true;
        final AtomicBoolean told = new AtomicBoolean();

        Open(long tag) {
            this.tag = tag;
        }

        void completed(RecordMetadata metadata, Exception error) {
            if (error != null) {
                boolean before = Thread.currentThread() == sender && sending && Errors.precedesEveryAttempt(error);
                failed(before ? Errors.nameBeforeAnyAttempt(error) : Errors.name(error), Errors.text(error), before);
            } else if (told.compareAndSet(false, true)) {
                out.sent(id, tag, metadata.hasOffset() ? metadata.offset() : -1, metadata.hasTimestamp() ? metadata.timestamp() : -1);
            }
        }

        void failed(String name, String text, boolean neverTried) {
            if (told.compareAndSet(false, true)) {
                out.put(Main.JSON.createObjectNode().put("event", "failed").put("id", id).put("tag", tag).put("error", name)
                    .put("text", text).put("persisted", neverTried ? "no" : "maybe"));
            }
        }
    }

    @Override
    protected void perform(String name, JsonNode fields) {
        if (!name.equals("send")) {
            throw new IllegalArgumentException("a producer does not " + name);
        }
        for (JsonNode record : fields.path("records")) {
            send(record);
        }
    }

    private void send(JsonNode record) {
        Open open = new Open(record.path("tag").asLong());
        if (closing) {
            open.failed("_NEVER_SENT", "the producer is being closed", true);
            return;
        }
        try {
            producer.send(new ProducerRecord<>(record.path("topic").asText(), record.path("partition").asInt(), bytes(record.get("key")),
                bytes(record.get("value"))), open::completed);
        } catch (RuntimeException error) {
            open.completed(null, error);
            // The client returns what is wrong with a record through the callback. What it throws is about itself: it
            // gave up (a fenced or failed idempotent producer throws with every send).
            if (error instanceof KafkaException && !Errors.precedesEveryAttempt(error) && !closing && fatal.compareAndSet(false, true)) {
                out.put(Main.JSON.createObjectNode().put("event", "fatal").put("id", id).put("error", Errors.name(error))
                    .put("text", Errors.text(error)));
            }
        } finally {
            open.sending = false;
        }
    }

    private static byte[] bytes(JsonNode field) {
        try {
            return field == null || field.isNull() ? null : field.binaryValue();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    @Override
    protected void close(long timeoutMs) {
        producer.close(Duration.ofMillis(timeoutMs)); // forced at the end of the time: what is open then fails, in callbacks
    }
}
