// What an error of a client proves about a send: the table every verdict on lost and aborted writes rests on.
//
// A send is `fail` only if the client vouches that the record is in no log: it was never handed to a broker, or the
// broker refused it before appending. Everything else that is not `ok` is `info`: it may be there, once, or not.
// (KAFKA-13574: NOT_LEADER_OR_FOLLOWER is no proof. A timeout after any attempt is no proof.)
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "workloads/history/record.h"

namespace ordeal::client {

// How far the client says the record got. librdkafka's message status, and our native client's own knowledge.
enum class Persistence : std::uint8_t { not_persisted, possibly_persisted, persisted };

// One row: an error by its protocol name and whether, given `not_persisted`, it is a definite failure.
struct ErrorClass {
  std::string_view name;  // Kafka's error name, or librdkafka's local error ("_MSG_TIMED_OUT")
  bool definite;          // false: `info` even if the client says not persisted
  std::string_view why;
};

std::span<const ErrorClass> error_classes();

// The type a completion gets. `error_name` is empty for success. Unknown names are judged indefinite.
history::Type classify_send(std::string_view error_name, Persistence persistence);

}  // namespace ordeal::client
