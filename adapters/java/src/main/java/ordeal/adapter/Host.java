package ordeal.adapter;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/** One client and the thread that uses it: commands for it are performed in the order they came. */
abstract class Host {
    private record Command(String name, JsonNode fields) {}

    protected final long id;
    protected final Out out;
    /** A close has arrived: what waits before it need not be tried any more. */
    protected volatile boolean closing;

    private final BlockingQueue<Command> commands = new LinkedBlockingQueue<>();

    protected Host(long id, Out out) {
        this.id = id;
        this.out = out;
    }

    final void accept(String name, JsonNode fields) {
        closing |= name.equals("close");
        commands.add(new Command(name, fields));
    }

    final void start() {
        Thread thread = new Thread(this::run, "client-" + id);
        thread.setDaemon(true);
        thread.start();
    }

    private void run() {
        while (true) {
            JsonNode fields = null;
            try {
                Command command = commands.take();
                fields = command.fields();
                if (command.name().equals("close")) {
                    close(fields.path("timeout_ms").asLong());
                    out.event("closed", id);
                    return;
                }
                perform(command.name(), fields);
            } catch (InterruptedException error) {
                return; // nobody interrupts us but the end of the process
            } catch (RuntimeException error) {
                out.error(fields, Errors.text(error));
            }
        }
    }

    protected abstract void perform(String name, JsonNode fields);

    /** Ends the client; every outcome has been told when it returns. */
    protected abstract void close(long timeoutMs);
}
