package ordeal.adapter;

import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.errors.TimeoutException;

/** What to call an exception of the client, and what it proves about a record. */
final class Errors {
    private Errors() {}

    /** Kafka's name of the error; UNKNOWN_SERVER_ERROR for what has none. */
    static String name(Throwable error) {
        return org.apache.kafka.common.protocol.Errors.forException(error).name();
    }

    static String text(Throwable error) {
        return error.getClass().getSimpleName() + ": " + error.getMessage();
    }

    /**
     * True if send() met the error before it put the record into the accumulator. Only these precede every attempt; an
     * expired batch may have been tried, and the client does not say. Only for errors that came out of send() itself.
     */
    static boolean precedesEveryAttempt(Throwable error) {
        return error instanceof TimeoutException // no metadata, or no memory, within max.block.ms
            || error instanceof RecordTooLargeException
            || error instanceof SerializationException
            || error instanceof InvalidTopicException;
    }

    /** The name of such an error: a timeout of the client's own is not the broker's REQUEST_TIMED_OUT. */
    static String nameBeforeAnyAttempt(Throwable error) {
        return error instanceof TimeoutException ? "_NEVER_SENT" : name(error);
    }
}
