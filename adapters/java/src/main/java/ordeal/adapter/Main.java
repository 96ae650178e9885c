package ordeal.adapter;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;

/**
 * Apache Kafka's Java client behind the adapter protocol: reads commands, hands each to the client it names.
 *
 * <p>Nothing here waits for a broker: each client has a thread of its own, so one that is stuck keeps nobody else waiting.
 */
public final class Main {
    static final int PROTOCOL = 1;
    static final ObjectMapper JSON = new ObjectMapper();

    private final Out out;
    private final Map<Long, Host> hosts = new HashMap<>();

    private Main(Out out) {
        this.out = out;
    }

    public static void main(String[] arguments) throws IOException {
        PrintStream stdout = System.out;
        System.setOut(System.err); // whatever a library prints must not stand between the messages
        Out out = new Out(stdout);
        out.start();
        new Main(out).serve();
        out.finish();
        Runtime.getRuntime().halt(0); // threads of clients that hang end with us
    }

    private void serve() throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8), 1 << 18);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode command = JSON.readTree(line);
            String name = command.path("cmd").asText();
            if (name.equals("shutdown")) {
                return;
            }
            try {
                perform(name, command);
            } catch (RuntimeException error) {
                out.error(command, Errors.text(error));
            }
        }
    }

    private void perform(String name, JsonNode command) {
        long id = command.path("id").asLong(-1);
        switch (name) {
            case "hello" -> hello();
            case "ping" -> out.event("pong");
            case "producer" -> add(id, new ProducerHost(id, config(command), out));
            case "consumer" -> add(id, new ConsumerHost(id, config(command), out));
            case "send", "assign", "seek", "poll", "close" -> {
                Host host = name.equals("close") ? hosts.remove(id) : hosts.get(id);
                if (host == null) {
                    throw new IllegalArgumentException("there is no client " + id);
                }
                host.accept(name, command);
            }
            default -> throw new IllegalArgumentException("unknown command");
        }
    }

    private void hello() {
        ObjectNode hello = JSON.createObjectNode().put("event", "hello").put("protocol", PROTOCOL);
        hello.put("client", "java").put("library", "kafka-clients").put("version", version());
        hello.put("runtime", System.getProperty("java.vm.name") + " " + System.getProperty("java.version"));
        hello.putArray("features");
        out.put(hello);
    }

    /** What the library's jar says of itself; its parser of that has moved between releases. */
    private static String version() {
        Properties said = new Properties();
        try (InputStream in = KafkaProducer.class.getResourceAsStream("/kafka/kafka-version.properties")) {
            said.load(in);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return said.getProperty("version");
    }

    private void add(long id, Host host) {
        hosts.put(id, host);
        host.start();
        out.event("ready", id);
    }

    private static Map<String, Object> config(JsonNode command) {
        Map<String, Object> config = new HashMap<>();
        command.path("config").fields().forEachRemaining(entry -> config.put(entry.getKey(), entry.getValue().asText()));
        return config;
    }
}
