package ordeal.adapter;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * The way out: messages of all threads, one line each, in the order they came. Acknowledgements that come together go
 * out together, one line a client.
 */
final class Out extends Thread {
    private record Acknowledged(long id, long tag, long offset, long timestamp) {}

    private static final Object END = new Object();

    private final PrintStream stream;
    private final BlockingQueue<Object> queue = new LinkedBlockingQueue<>();
    private final Map<Long, StringBuilder> acknowledged = new LinkedHashMap<>();

    Out(PrintStream stream) {
        super("out");
        this.stream = stream;
        setDaemon(true);
    }

    void put(ObjectNode message) {
        queue.add(message);
    }

    void event(String name) {
        put(Main.JSON.createObjectNode().put("event", name));
    }

    void event(String name, long id) {
        put(Main.JSON.createObjectNode().put("event", name).put("id", id));
    }

    /** Answers a command that could not be performed. */
    void error(JsonNode command, String text) {
        ObjectNode message = Main.JSON.createObjectNode().put("event", "error");
        if (command != null) {
            message.put("cmd", command.path("cmd").asText());
            if (command.has("id")) {
                message.set("id", command.get("id"));
            }
        }
        put(message.put("text", text));
    }

    void sent(long id, long tag, long offset, long timestamp) {
        queue.add(new Acknowledged(id, tag, offset, timestamp));
    }

    /** Returns when everything that was put before has been written. */
    void finish() {
        queue.add(END);
        try {
            join(2000);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void run() {
        List<Object> taken = new ArrayList<>();
        try {
            while (true) {
                taken.add(queue.take());
                queue.drainTo(taken, 5000);
                for (Object message : taken) {
                    if (message == END) {
                        return;
                    }
                    write(message);
                }
                writeAcknowledged();
                stream.flush();
                taken.clear();
            }
        } catch (InterruptedException | JsonProcessingException error) {
            System.err.println("out: " + error);
            Runtime.getRuntime().halt(1); // without a voice nothing that happens could be told
        } finally {
            stream.flush();
        }
    }

    private void write(Object message) throws JsonProcessingException {
        if (message instanceof Acknowledged a) {
            StringBuilder results = acknowledged.computeIfAbsent(a.id, id -> new StringBuilder());
            results.append(results.isEmpty() ? "" : ",").append("{\"tag\":").append(a.tag).append(",\"offset\":").append(a.offset);
            results.append(",\"timestamp\":").append(a.timestamp).append('}');
            return;
        }
        writeAcknowledged();
        line(Main.JSON.writeValueAsString(message));
    }

    private void writeAcknowledged() {
        acknowledged.forEach((id, results) -> line("{\"event\":\"sent\",\"id\":" + id + ",\"results\":[" + results + "]}"));
        acknowledged.clear();
    }

    private void line(String text) {
        byte[] bytes = (text + "\n").getBytes(StandardCharsets.UTF_8);
        stream.write(bytes, 0, bytes.length);
        if (stream.checkError()) {
            Runtime.getRuntime().halt(1); // the harness is gone
        }
    }
}
