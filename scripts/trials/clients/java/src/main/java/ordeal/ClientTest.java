package ordeal;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Creates a topic, writes 1000 records idempotently, reads them back in order. Exits 1 with the reason when it cannot. */
public final class ClientTest {
  private static final int RECORDS = 1000;
  private static final long DEADLINE_MS = 60_000;

  public static void main(String[] arguments) throws Exception {
    String bootstrap = arguments[0], topic = arguments[1], codec = arguments[2];
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
      admin.createTopics(List.of(new NewTopic(topic, 1, (short) 3))).all().get();
      int nodes = admin.describeCluster().nodes().get().size();
      require(nodes == 3, "the cluster has " + nodes + " nodes");
    }
    produce(bootstrap, topic, codec);
    consume(bootstrap, topic);
    System.out.println(RECORDS + " written, " + RECORDS + " read in order");
  }

  private static void produce(String bootstrap, String topic, String codec) throws ExecutionException, InterruptedException {
    Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "acks", "all", "enable.idempotence", true,
        "compression.type", codec, "linger.ms", 5);
    try (KafkaProducer<String, String> producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
      List<Future<RecordMetadata>> sent = new ArrayList<>();
      for (int i = 0; i < RECORDS; i++) sent.add(producer.send(new ProducerRecord<>(topic, 0, "k" + i, "v" + i)));
      for (int i = 0; i < RECORDS; i++) {
        long offset = sent.get(i).get().offset();
        require(offset == i, "record " + i + " got offset " + offset);
      }
    }
  }

  private static void consume(String bootstrap, String topic) {
    Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "enable.auto.commit", false, "isolation.level", "read_committed");
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
      TopicPartition partition = new TopicPartition(topic, 0);
      consumer.assign(List.of(partition));
      consumer.seekToBeginning(List.of(partition));
      int next = 0;
      long deadline = System.currentTimeMillis() + DEADLINE_MS;
      while (next < RECORDS) {
        require(System.currentTimeMillis() < deadline, "read only " + next + " records");
        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(500))) {
          require(record.value().equals("v" + next), "offset " + record.offset() + " holds " + record.value());
          next++;
        }
      }
      long end = consumer.endOffsets(List.of(partition)).get(partition);
      require(end == RECORDS, "the end offset is " + end);
    }
  }

  private static void require(boolean holds, String otherwise) {
    if (!holds) {
      System.err.println("client test: " + otherwise);
      System.exit(1);
    }
  }
}
