#include "workloads/client/outcome.h"

#include <algorithm>
#include <array>

namespace ordeal::client {
namespace {

constexpr std::array kErrorClasses{
    // Local to the client: with not_persisted nothing ever left the machine.
    ErrorClass{"_QUEUE_FULL", true, "the local queue refused the record"},
    ErrorClass{"_NEVER_SENT", true, "expired in the local queue of a client that knows it made no attempt"},
    ErrorClass{"_MSG_TIMED_OUT", false,
               "librdkafka calls a record not persisted when the last attempt met NOT_LEADER, which proves nothing"},
    ErrorClass{"_PURGE_QUEUE", false, "it may have waited there for a retry"},
    ErrorClass{"_PURGE_INFLIGHT", false, "purged while a request that held it was on the wire"},
    ErrorClass{"_UNKNOWN_TOPIC", true, "no topic to send to"},
    ErrorClass{"_UNKNOWN_PARTITION", true, "no partition to send to"},
    ErrorClass{"_TRANSPORT", false, "the connection broke: the request may have arrived"},
    ErrorClass{"_TIMED_OUT", false, "no answer: the request may have arrived"},
    ErrorClass{"_FATAL", false, "the idempotent producer gave up: earlier attempts may have landed"},
    // From the broker, before anything was appended.
    ErrorClass{"MESSAGE_TOO_LARGE", true, "refused at validation"},
    ErrorClass{"MSG_SIZE_TOO_LARGE", true, "refused at validation (librdkafka's name)"},
    ErrorClass{"RECORD_LIST_TOO_LARGE", true, "refused at validation"},
    ErrorClass{"CORRUPT_MESSAGE", false, "retriable: an earlier attempt may have landed"},
    ErrorClass{"INVALID_RECORD", true, "refused at validation"},
    ErrorClass{"INVALID_TIMESTAMP", true, "refused at validation"},
    ErrorClass{"INVALID_REQUIRED_ACKS", true, "refused at validation"},
    ErrorClass{"INVALID_TOPIC_EXCEPTION", true, "refused at validation"},
    ErrorClass{"TOPIC_AUTHORIZATION_FAILED", true, "refused before the append"},
    ErrorClass{"UNSUPPORTED_COMPRESSION_TYPE", true, "refused at validation"},
    // From the broker, and no proof.
    ErrorClass{"NOT_ENOUGH_REPLICAS", false, "retriable: an earlier attempt may have landed"},
    ErrorClass{"NOT_ENOUGH_REPLICAS_AFTER_APPEND", false, "the record is in the leader's log"},
    ErrorClass{"NOT_LEADER_OR_FOLLOWER", false, "KAFKA-13574: an earlier attempt may have landed"},
    ErrorClass{"NOT_LEADER_FOR_PARTITION", false, "KAFKA-13574: an earlier attempt may have landed"},
    ErrorClass{"LEADER_NOT_AVAILABLE", false, "retriable: an earlier attempt may have landed"},
    ErrorClass{"REQUEST_TIMED_OUT", false, "appended, but not replicated in time"},
    ErrorClass{"UNKNOWN_TOPIC_OR_PARTITION", false, "a booting broker may say so of a topic that exists"},
    ErrorClass{"OUT_OF_ORDER_SEQUENCE_NUMBER", false, "an earlier attempt may have landed"},
    ErrorClass{"DUPLICATE_SEQUENCE_NUMBER", false, "the record is in the log"},
    ErrorClass{"UNKNOWN_PRODUCER_ID", false, "an earlier attempt may have landed"},
    ErrorClass{"INVALID_PRODUCER_EPOCH", false, "an earlier attempt may have landed"},
    ErrorClass{"PRODUCER_FENCED", false, "an earlier attempt may have landed"},
    ErrorClass{"KAFKA_STORAGE_ERROR", false, "the disk failed at an unknown point"},
    ErrorClass{"UNKNOWN_SERVER_ERROR", false, "the broker itself does not know"},
};

}  // namespace

std::span<const ErrorClass> error_classes() { return kErrorClasses; }

history::Type classify_send(std::string_view error_name, Persistence persistence) {
  if (error_name.empty()) return history::Type::ok;
  if (persistence != Persistence::not_persisted) return history::Type::info;
  const auto* known = std::ranges::find(kErrorClasses, error_name, &ErrorClass::name);
  return known != kErrorClasses.end() && known->definite ? history::Type::fail : history::Type::info;
}

}  // namespace ordeal::client
