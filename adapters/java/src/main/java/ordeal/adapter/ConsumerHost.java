package ordeal.adapter;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.InvalidOffsetException;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A KafkaConsumer with an assignment of its own. */
final class ConsumerHost extends Host {
    private static final long FROM_START = -2;
    private static final long PAUSE_AFTER_ERROR_MS = 100;

    private final KafkaConsumer<byte[], byte[]> consumer;

    ConsumerHost(long id, Map<String, Object> config, Out out) {
        super(id, out);
        consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    @Override
    protected void perform(String name, JsonNode fields) {
        switch (name) {
            case "assign" -> {
                List<TopicPartition> partitions = new ArrayList<>();
                fields.path("positions").forEach(position -> partitions.add(partition(position)));
                consumer.assign(partitions);
                fields.path("positions").forEach(this::seek);
                out.event("ready", id);
            }
            case "seek" -> {
                seek(fields);
                out.event("ready", id);
            }
            case "poll" -> poll(fields.path("timeout_ms").asLong());
            default -> throw new IllegalArgumentException("a consumer does not " + name);
        }
    }

    private static TopicPartition partition(JsonNode fields) {
        return new TopicPartition(fields.path("topic").asText(), fields.path("partition").asInt());
    }

    private void seek(JsonNode fields) {
        long offset = fields.path("offset").asLong();
        if (offset == FROM_START) {
            consumer.seekToBeginning(List.of(partition(fields)));
        } else {
            consumer.seek(partition(fields), offset);
        }
    }

    /** How many records at most is max.poll.records of the configuration: the client knows no limit of one poll. */
    private void poll(long timeoutMs) {
        ObjectNode polled = Main.JSON.createObjectNode().put("event", "polled").put("id", id);
        ArrayNode records = polled.putArray("records");
        ArrayNode errors = polled.putArray("errors");
        try {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(timeoutMs))) {
                ObjectNode row = records.addObject().put("topic", record.topic()).put("partition", record.partition());
                row.put("offset", record.offset()).put("timestamp", record.timestamp()).put("value", record.value());
                if (record.key() != null) {
                    row.put("key", record.key());
                }
                record.leaderEpoch().ifPresent(epoch -> row.put("leader_epoch", epoch));
            }
        } catch (InvalidOffsetException error) { // out of range, truncated, or none: the position is of no use any more
            lost(errors, error.partitions(), error);
            pause();
        } catch (KafkaException error) {
            errors.addObject().put("error", Errors.name(error)).put("text", Errors.text(error));
            pause();
        }
        out.put(polled);
    }

    private static void lost(ArrayNode errors, Collection<TopicPartition> partitions, KafkaException error) {
        for (TopicPartition partition : partitions) {
            errors.addObject().put("topic", partition.topic()).put("partition", partition.partition()).put("error", "OFFSET_OUT_OF_RANGE")
                .put("text", Errors.text(error));
        }
    }

    private static void pause() {
        try {
            Thread.sleep(PAUSE_AFTER_ERROR_MS);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    @SuppressWarnings("deprecation") // its successor is not there in 3.x
    @Override
    protected void close(long timeoutMs) {
        consumer.close(Duration.ofMillis(timeoutMs));
    }
}
